// The server's clock, as far as this page knows it. The visitor's own clock may be wrong by hours, so what a page shows
// never comes from it.

import { moment, since, sinceAtMost } from "../tidewire/stopwatch.js";

// The browser's two clocks never differ as much while the computer is awake.
const SLEEP_MS = 10_000;

// The page was rendered when its first bytes came.
const response = performance.getEntriesByType("navigation")[0];
let at = { steady: response?.responseStart ?? performance.now(), wall: Date.now() };
let told = Number(document.body.dataset.now) * 1000;

// Where the browser shows a page that it has kept, the clock is as old as the page until the server is asked.
export const isKept = response?.type === "back_forward" || response?.transferSize === 0;

export function serverNow() {
  return told + since(at);
}

// The server said what time it is, in a form that browsers can parse.
export function tellTime(text) {
  const time = Date.parse(text);
  if (Number.isNaN(time)) return;
  told = time;
  at = moment();
}

// Whether the computer slept, or the visitor's clock was set: some browsers' steady clock stops during a sleep.
export function isDoubtful() {
  return sinceAtMost(at) - since(at) > SLEEP_MS;
}
