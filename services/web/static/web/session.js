// Whether the visitor is still logged in, and the way back from sockets that were closed for good. A close code alone
// does not say that a session ended, or that it will not be there again: the pages are asked.

import { Timer, moment, since } from "../tidewire/stopwatch.js";
import { ANSWER_MS, fetchPage } from "./catch-up.js";
import { tellTime } from "./clock.js";

// Close codes that speak of the session (tidewire/close_codes.py).
const SESSION_CODES = [4500, 4501];
const FIRST_MS = 5000;
const LONGEST_MS = 120_000;
// A socket that was closed again within this time has not come back.
const LIVED_MS = 10_000;

export class SignedOut extends Error {}

// The JSON that the pages answer. Throws `SignedOut`, or another error where there is no answer.
export async function askPages(url, loginUrl) {
  const response = await fetch(url, {
    headers: { Accept: "application/json" },
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const login = new URL(loginUrl, window.location.href).pathname;
  if (response.redirected && new URL(response.url).pathname === login) throw new SignedOut();
  if (!response.ok || response.redirected) throw new Error(`${response.status} for ${url}`);
  tellTime(response.headers.get("Date"));
  return response.json();
}

// Whether the server says that another user, or none, is logged in. Without an answer the page stays as it is.
export async function isOver(ask, me) {
  try {
    const { user } = await ask();
    return user !== me;
  } catch (error) {
    return error instanceof SignedOut;
  }
}

// A login gives new tokens, without which the forms of this page would be refused together with what is typed in them.
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

  // `show(why, detail)` tells the visitor: "signed out", "other user", "no answer", "refused", or null for nothing.
  constructor({ ask, me, renew, show }) {
    this.#ask = ask;
    this.#me = me;
    this.#renew = renew;
    this.#show = show;
    const look = () => this.check();
    document.addEventListener("visibilitychange", () => document.hidden || look());
    for (const type of ["focus", "pageshow", "online"]) window.addEventListener(type, look);
    // Another tab shows a page, so its visitor is logged in.
    const tabs = new BroadcastChannel("tidewire: logged in");
    tabs.addEventListener("message", look);
    tabs.postMessage(me);
  }

  // A socket was closed for good, or is no longer.
  follow(live, state, detail) {
    if (state === "closed") {
      this.#closed.set(live, detail);
      if (since(this.#tried) > LIVED_MS) this.#attempt = 0;
      const ofSession = SESSION_CODES.includes(detail.code);
      if (!ofSession) this.#show("refused", detail);
      this.#later(ofSession && this.#attempt === 0);
    } else if (state === "live" || state === "stale") this.forget(live);
  }

  // The page knows why this socket was closed, and wants it no more.
  forget(live) {
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

  // A hidden page asks once; the rest can wait until it is looked at.
  #later(now = false) {
    if (now) this.#timer.start(0, () => this.check());
    else {
      const delay = Math.min(LONGEST_MS, FIRST_MS * 2 ** this.#attempt) * (0.5 + Math.random() / 2);
      this.#timer.start(delay, () => document.hidden || this.check());
    }
  }
}
