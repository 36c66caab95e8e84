// Drafts: text that a user has typed and that the server does not have yet. The browser keeps each draft until a page
// confirms that it is saved, through reloads, logins, errors and crashes. A draft must not be shown to another user.

import { serverNow } from "./clock.js";

const PREFIX = "tidewire.draft.";
// Older drafts are deleted, and so are the oldest above these limits. Browsers allow a site about five million
// characters, and a text has at most 100,000.
const KEPT_MS = 30 * 24 * 3600 * 1000;
const MOST_PER_USER = 20;
const MOST_CHARACTERS = 3_500_000;
// A page that is being left releases its draft within a moment; another tab that has it open does not.
const CLAIM_MS = 1500;
// A page restores drafts without the server's answer after this.
const RECONCILE_MS = 3000;

export class Drafts {
  // Resolves when the drafts that the server has are deleted.
  reconciled = Promise.resolve();
  #store;
  #user;
  delivered = []; // drafts that the server has, although its response never arrived

  constructor(user, store = storage()) {
    this.#user = user;
    this.#store = store;
    this.#prune();
  }

  // Returns the user's drafts, newest first: of one place (a document's slug, or "new") or of all.
  list(place) {
    return this.#all().filter((draft) => draft.user === this.#user && (place === undefined || draft.place === place));
  }

  // Stores a draft. Returns whether the browser could store it. The oldest drafts are deleted to make room.
  put(id, draft) {
    const text = JSON.stringify(draft);
    const others = this.#all().filter((other) => other.key !== this.#key(id));
    const removed = [];
    while (!this.#write(this.#key(id), text)) {
      const key = others.pop()?.key;
      const other = key && this.#store.getItem(key);
      // If an existing draft cannot be rewritten either, deleting others would make no room.
      if (!key || !this.#write(key, other)) {
        for (const each of removed) this.#write(...each);
        return false;
      }
      removed.push([key, other]);
      this.#remove(key);
    }
    return true;
  }

  drop(id) {
    this.#remove(this.#key(id));
  }

  has(id) {
    return this.#all().some((draft) => draft.key === this.#key(id));
  }

  // Deletes a saved draft. `mark` comes from `markOf` when the form was sent. A draft that was changed since is kept.
  saved(mark) {
    const [id, at] = mark.split("@");
    const draft = this.#all().find((each) => each.key === this.#key(id));
    if (draft && String(draft.at) === at) this.#remove(draft.key);
  }

  // Claims the draft for this page until the returned function is called; null if another tab has claimed it.
  claim(id) {
    const nothing = () => {};
    return new Promise((resolve) => {
      if (!navigator.locks) return resolve(nothing); // without HTTPS
      navigator.locks
        .request(this.#key(id), { signal: AbortSignal.timeout(CLAIM_MS) }, () => new Promise(resolve))
        .catch((error) => resolve(error.name === "TimeoutError" || error.name === "AbortError" ? null : nothing));
    });
  }

  // Checks drafts that were sent without a response, such as behind a proxy that timed out: the server may have them.
  // Each is checked with its text, because the text may have been changed since. Never throws; without an answer the
  // drafts are kept.
  async reconcile(url, token) {
    for (const draft of this.list().filter((each) => each.sent)) {
      const { title, body, submission } = draft;
      const fields = new URLSearchParams({ title, body, submission, csrfmiddlewaretoken: token });
      try {
        const response = await fetch(url, { method: "POST", body: fields, signal: AbortSignal.timeout(RECONCILE_MS) });
        if (!response.ok || !(await response.json()).saved) continue;
        this.saved(markOf(draft.id, draft));
        this.delivered.push(draft);
      } catch {
        return;
      }
    }
  }

  // Returns the drafts that no open page has claimed.
  async abandoned() {
    const claimed = new Set(((await navigator.locks?.query())?.held ?? []).map((lock) => lock.name));
    return this.list().filter((draft) => !claimed.has(draft.key));
  }

  #key(id) {
    return `${PREFIX}${this.#user}.${id}`;
  }

  #all() {
    const drafts = [];
    for (let i = 0; i < (this.#store?.length ?? 0); i += 1) {
      const draft = read(this.#store, this.#store.key(i));
      if (draft) drafts.push(draft);
    }
    return drafts.sort((one, other) => other.at - one.at);
  }

  #write(key, text) {
    try {
      this.#store.setItem(key, text);
      return true;
    } catch {
      return false;
    }
  }

  #remove(key) {
    try {
      this.#store?.removeItem(key);
    } catch {
      // A storage that is not writable keeps nothing either.
    }
  }

  #prune() {
    let characters = 0;
    const counts = {};
    for (const draft of this.#all()) {
      counts[draft.user] = (counts[draft.user] ?? 0) + 1;
      characters += draft.title.length + draft.body.length;
      const old = serverNow() - draft.at > KEPT_MS;
      if (old || counts[draft.user] > MOST_PER_USER || characters > MOST_CHARACTERS) this.#remove(draft.key);
    }
  }
}

export function markOf(id, draft) {
  return `${id}@${draft.at}`;
}

// Returns "14:05", or "28 November, 14:05" if that was another day.
export function timeOf(at) {
  const when = new Date(at);
  const time = when.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  if (when.toDateString() === new Date(serverNow()).toDateString()) return time;
  return `${when.toLocaleDateString("en-GB", { day: "numeric", month: "long" })}, ${time}`;
}

function storage() {
  try {
    return window.localStorage;
  } catch {
    return null; // the browser blocks the storage
  }
}

function read(store, key) {
  if (!key?.startsWith(PREFIX)) return null;
  try {
    const { at, title, body, version, submission, sent } = JSON.parse(store.getItem(key));
    const [user, place, form] = key.slice(PREFIX.length).split(".");
    const texts = [title, body, version, submission];
    if (!form || !Number.isFinite(at) || texts.some((each) => typeof each !== "string")) return null;
    return { key, user, place, id: `${place}.${form}`, at, title, body, version, submission, sent: sent === true };
  } catch {
    return null; // not written by this script
  }
}

// Links to the forms with drafts that no open page shows.
export async function listUnsaved(place, drafts) {
  const abandoned = await drafts.abandoned();
  const links = abandoned.map((draft) => {
    const link = document.createElement("a");
    const { createUrl, editUrl } = place.dataset;
    link.href = draft.place === "new" ? createUrl : editUrl.replace("slug", encodeURIComponent(draft.place));
    link.dir = "auto";
    link.textContent = draft.title || "without a title";
    const item = document.createElement("li");
    item.append(link, ` from ${timeOf(draft.at)}`);
    return item;
  });
  place.querySelector("ul").replaceChildren(...links);
  place.hidden = links.length === 0;
}
