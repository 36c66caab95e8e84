// Durations in a browser, where timers run late in hidden tabs, pages are frozen, computers sleep and clocks are set.

// A timer that is this late was held up by the browser or by a busy page, so its time says nothing about the server.
const LATE_MS = 2000;
// What arrived before a timer ran may still wait to be read: give it a turn before a verdict.
const TURN_MS = 500;
// A tab that is throttled for good has only late timers, so a verdict is not put off for ever.
const LATE_ROUNDS = 2;

/** This moment on both clocks: `performance.now()` is never set, `Date.now()` counts a computer's sleep. */
export function moment() {
  return { steady: performance.now(), wall: Date.now() };
}

/** Milliseconds since a moment. On some systems without the time in which the computer slept. */
export function since(began) {
  return performance.now() - began.steady;
}

/** The most that can have passed since a moment, in milliseconds: for doubt, never for a verdict. */
export function sinceAtMost(began) {
  return Math.max(performance.now() - began.steady, Date.now() - began.wall);
}

/** One timer: starting it again replaces what it waits for. */
export class Timer {
  #id;

  stop() {
    clearTimeout(this.#id);
  }

  /** Call `run` after `ms`. */
  start(ms, run) {
    this.stop();
    this.#id = setTimeout(run, ms);
  }

  /**
   * Call `judge` when `ms` have passed during which this page was awake. Where the timer runs late, `again` is called
   * and the page waits for `again()` milliseconds more, so that messages that came meanwhile are read first.
   */
  verdict(ms, judge, again = () => ms, rounds = LATE_ROUNDS) {
    const began = moment();
    this.start(ms, () => {
      if (rounds > 0 && sinceAtMost(began) > ms + LATE_MS) this.verdict(again(), judge, again, rounds - 1);
      else this.start(TURN_MS, judge);
    });
  }
}
