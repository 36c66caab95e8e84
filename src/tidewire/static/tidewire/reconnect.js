// The delay after which a client reconnects when its socket was closed.

import { FINAL_RANGES } from "./close-codes.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
// Too many sockets of one user: an early reconnect would be refused again.
const TOO_MANY = 4006;
const SLOW_DELAY_MS = 10_000;
// Rights or password changed: the response with this browser's new session may still be in transit.
const EXPIRED = 4005;
const SESSION_MS = 1000;
// No server announces a longer delay when it drains.
const LONGEST_DRAIN_MS = 60_000;

/** Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter"). Milliseconds. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
}

/** The delay after a refusal that an early reconnect would only repeat: 10 s at first, 60 s at most. Milliseconds. */
export function backoffAfterRefusal(attempt, random = Math.random) {
  return (1 + random()) * Math.min(LONGEST_DELAY_MS, SLOW_DELAY_MS * 2 ** attempt);
}

/** Return whether the client must not reconnect after this close code. */
export function isFinal(code) {
  return FINAL_RANGES.some(([first, last]) => first <= code && code <= last);
}

/** The milliseconds that a `drain` event requests, within limits. */
export function drainMs({ reconnect_in_seconds: seconds }) {
  return Math.min(Math.max(Number(seconds) * 1000 || 0, 0), LONGEST_DRAIN_MS);
}

/** The delay before the reconnect after a close, in milliseconds. `drain_ms` is null unless the server drains. */
export function reconnectDelay(code, attempt, drain_ms) {
  if (drain_ms !== null) return drain_ms + backoff(0);
  if (code === TOO_MANY) return backoffAfterRefusal(attempt);
  return backoff(attempt) + (code === EXPIRED ? SESSION_MS : 0);
}
