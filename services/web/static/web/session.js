// Checks whether the visitor is still logged in, and reopens sockets that were closed for good. A close code alone does
// not prove that a session has ended, or that it cannot return, so the pages are asked.

import { Timer, moment, since } from "../tidewire/stopwatch.js";
import { ANSWER_MS, fetchPage } from "../tidewire/catch-up.js";
import { setTime } from "./clock.js";

// Close codes that concern the session (tidewire/close_codes.py).
const SESSION_CODES = [4500, 4501];
const FIRST_MS = 5000;
const LONGEST_MS = 120_000;
// A socket that was closed again within this time does not count as reopened.
const STABLE_MS = 10_000;

export class SignedOut extends Error {}

// Fetches JSON from the pages. Throws `SignedOut`, or another error without a response.
export async function askPages(url, loginUrl) {
  const response = await fetch(url, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const login = new URL(loginUrl, window.location.href).pathname;
  if (response.redirected && new URL(response.url).pathname === login) throw new SignedOut();
  if (!response.ok || response.redirected) throw new Error(`${response.status} for ${url}`);
  setTime(response.headers.get("Date"));
  return response.json();
}

// Returns whether another user, or none, is logged in according to the server. Without a response the page does not
// change.
export async function isOver(ask, me) {
  try {
    const { user } = await ask();
    return user !== me;
  } catch (error) {
    return error instanceof SignedOut;
  }
}

// A login changes the tokens, without which the forms of this page would be refused together with their text.
export async function renewForms(url) {
  const fresh = await fetchPage(url);
  const token = fresh.querySelector("[name=csrfmiddlewaretoken]").value;
  for (const field of document.querySelectorAll("[name=csrfmiddlewaretoken]")) field.value = token;
}

export class WayBack {
  #ask;
  #me;
  #renew;
  #show;
  #closed = new Map(); // sockets that were closed for good, each with the detail of its close
  #checking = false;
  #attempt = 0;
  #tried = moment();
  #signedOut = false;
  #timer = new Timer();

  // `show(why, detail)` informs the visitor: "signed out", "other user", "no answer", "refused", or null for nothing.
  constructor({ ask, me, renew, show }) {
    this.#ask = ask;
    this.#me = me;
    this.#renew = renew;
    this.#show = show;
    const check = () => this.check();
    document.addEventListener("visibilitychange", () => document.hidden || check());
    for (const type of ["focus", "pageshow", "online"]) window.addEventListener(type, check);
    // Another tab shows a page, so its visitor is logged in.
    const tabs = new BroadcastChannel("tidewire: logged in");
    tabs.addEventListener("message", check);
    tabs.postMessage(me);
  }

  // Called when a socket was closed for good, or is no longer.
  follow(live, state, detail) {
    if (state === "closed") {
      this.#closed.set(live, detail);
      if (since(this.#tried) > STABLE_MS) this.#attempt = 0;
      const ofSession = SESSION_CODES.includes(detail.code);
      if (!ofSession) this.#show("refused", detail);
      this.#later(ofSession && this.#attempt === 0);
    } else if (state === "live" || state === "stale") this.remove(live);
  }

  // Called by a page that knows the reason for a close and no longer needs the socket.
  remove(live) {
    if (this.#closed.delete(live) && !this.#closed.size) this.#show(null);
  }

  async check() {
    if (!this.#closed.size || this.#checking) return;
    this.#checking = true;
    this.#attempt += 1;
    this.#tried = moment();
    try {
      await this.#judge();
    } finally {
      this.#checking = false;
    }
  }

  async #judge() {
    let user;
    try {
      ({ user } = await this.#ask());
    } catch (error) {
      this.#signedOut ||= error instanceof SignedOut;
      this.#show(error instanceof SignedOut ? "signed out" : "no answer");
      return this.#later();
    }
    if (user !== this.#me) {
      this.#signedOut = true;
      this.#show("other user", { user });
      return this.#later();
    }
    if (this.#signedOut) await this.#renew().catch(() => {});
    this.#signedOut = false;
    const [refused] = [...this.#closed.values()].filter(({ code }) => !SESSION_CODES.includes(code));
    this.#show(refused ? "refused" : null, refused);
    for (const live of this.#closed.keys()) if (live.state === "closed") live.reconnectNow();
  }

  // A hidden page asks once; the rest can wait until it is visible.
  #later(now = false) {
    if (now) this.#timer.start(0, () => this.check());
    else {
      const delay = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempt) * (0.5 + Math.random() / 2);
      this.#timer.start(delay, () => document.hidden || this.check());
    }
  }
}
