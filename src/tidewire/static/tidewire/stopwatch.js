// Durations in a browser, where timers run late in hidden tabs, pages are frozen, computers sleep and clocks are set.

// A timer this late was delayed by the browser or by a busy page, so its time is no evidence about the server.
const LATE_MS = 2000;
// Messages that arrived before a timer ran may be unread: give them a turn before a decision.
const TURN_MS = 500;
// A tab that is throttled for good has only late timers, so a decision must not be postponed for ever.
const LATE_ROUNDS = 2;

/** The current time on both clocks: `performance.now()` is never set, `Date.now()` includes a computer's sleep. */
export function moment() {
  return { steady: performance.now(), wall: Date.now() };
}

/** Milliseconds since a moment. Some systems do not count the time in which the computer slept. */
export function since(began) {
  return performance.now() - began.steady;
}

/** The longest possible time since a moment, in milliseconds: may raise a doubt, but must not decide. */
export function sinceAtMost(began) {
  return Math.max(performance.now() - began.steady, Date.now() - began.wall);
}

/** A timer: starting it again replaces the pending call. */
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
   * Call `missed` after `ms` during which this page was awake. If the timer runs late, `again` is called and the page
   * waits for another `again()` milliseconds, so that messages which arrived meanwhile are read first.
   */
  deadline(ms, missed, again = () => ms, rounds = LATE_ROUNDS) {
    const began = moment();
    this.start(ms, () => {
      if (rounds > 0 && sinceAtMost(began) > ms + LATE_MS) this.deadline(again(), missed, again, rounds - 1);
      else this.start(TURN_MS, missed);
    });
  }
}
