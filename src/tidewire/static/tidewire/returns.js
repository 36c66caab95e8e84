// When a client returns after its socket was closed.

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
// Too many sockets of one user: an early return would be refused again.
const TOO_MANY = 4006;
const SLOW_DELAY_MS = 10_000;
// Rights or password changed: the answer that brings this browser its new session may still be on the way.
const EXPIRED = 4005;
const SESSION_MS = 1000;
// A server gives no longer hint when it drains.
const LONGEST_DRAIN_MS = 60_000;

/** Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter"). Milliseconds. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
}

/** The delay after a refusal that an early return would only repeat: 10 s at first, 60 s at most. Milliseconds. */
export function slowly(attempt, random = Math.random) {
  return (1 + random()) * Math.min(LONGEST_DELAY_MS, SLOW_DELAY_MS * 2 ** attempt);
}

/** Whether a close code means that a return by itself is of no use. */
export function isFinal(code) {
  return (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
}

/** The milliseconds that a `drain` event asks for, within reason. */
export function drainMs({ reconnect_in_seconds: seconds }) {
  return Math.min(Math.max(Number(seconds) * 1000 || 0, 0), LONGEST_DRAIN_MS);
}

/** The delay before the return after a close, in milliseconds. `drain_ms` is null unless the server drains. */
export function returnDelay(code, attempt, drain_ms) {
  if (drain_ms !== null) return drain_ms + backoff(0);
  if (code === TOO_MANY) return slowly(attempt);
  return backoff(attempt) + (code === EXPIRED ? SESSION_MS : 0);
}
