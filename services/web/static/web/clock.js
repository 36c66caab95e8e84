// The server's clock, as estimated by this page. The visitor's own clock may be wrong by hours, so the page must not
// show times from it.

import { moment, since, sinceAtMost } from "../tidewire/stopwatch.js";

// The browser's two clocks never differ by this much while the computer is awake.
const SLEEP_MS = 10_000;

// The page was rendered when its first bytes arrived.
const response = performance.getEntriesByType("navigation")[0];
let at = { steady: response?.responseStart ?? performance.now(), wall: Date.now() };
let server_time = Number(document.body.dataset.now) * 1000;

// If the browser shows a cached page, the clock is as old as the page until the server is asked.
export const isKept = response?.type === "back_forward" || response?.transferSize === 0;

export function serverNow() {
  return server_time + since(at);
}

// Sets the clock from the server's time, in a format that browsers can parse.
export function setTime(text) {
  const time = Date.parse(text);
  if (Number.isNaN(time)) return;
  server_time = time;
  at = moment();
}

// True if the computer slept, or the visitor's clock was set: in some browsers the monotonic clock stops during sleep.
export function isDoubtful() {
  return sinceAtMost(at) - since(at) > SLEEP_MS;
}
