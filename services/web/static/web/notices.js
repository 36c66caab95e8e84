// Explanations of the live connection's state if a word in the header is not enough: the reason and the remedy.

import { isolated } from "./people.js";

const TOO_MANY = 4006;

const WHY = {
  "other user": ({ user }) => `This browser is now signed in as ${isolated(user)}, so this page is no longer live. Sign in as `
    + `before in another tab, and it comes back; or reload it.`,
  "no answer": () => "This page is not live, and the server does not answer. The page tries again by itself.",
  refused: ({ code, reason }) =>
    code === 4503
      ? "You may no longer see this page live, so it may be out of date. It asks again from time to time."
      : `The server refuses the live connection of this page (${reason}), so it may be out of date. It asks again from time to time.`,
  crowded: () =>
    "Too many tabs of yours are open, so this one is not live. Close some of them: it connects again within a minute.",
};

export class Notices {
  #signedOut;
  #notice;
  #crowded = new Set();
  #why = null;
  #detail;

  constructor({ signedOut, notice, retry }) {
    this.#signedOut = signedOut;
    this.#notice = notice;
    notice.querySelector("[data-live-retry]").addEventListener("click", retry);
  }

  // Shows the reason that sockets are closed for good; null if none is.
  show(why, detail) {
    this.#why = why;
    this.#detail = detail;
    this.#render();
  }

  // Follows a socket's state: the limit on sockets only requires waiting, but should be explained too.
  follow(live, state, detail) {
    if (state === "reconnecting" && detail.code === TOO_MANY) this.#crowded.add(live);
    else this.#crowded.delete(live);
    this.#render();
  }

  #render() {
    this.#signedOut.hidden = this.#why !== "signed out";
    const why = this.#why ?? (this.#crowded.size ? "crowded" : null);
    const text = WHY[why]?.(this.#detail) ?? "";
    this.#notice.hidden = text === "";
    const place = this.#notice.querySelector("[data-live-why]");
    if (place.textContent !== text) place.textContent = text; // a rewritten status is read out again
  }
}
