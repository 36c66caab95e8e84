// The unread count in the header. The page knows everything up to one notification; only later ones count.

export class Unread {
  #badge;
  #ask;
  #newest;
  #known; // how many are unread of those up to the newest
  #added = []; // and which came after it
  #asked = 0;
  #answered = 0;

  constructor({ badge, ask, newest }) {
    this.#badge = badge;
    this.#ask = ask;
    this.#newest = newest;
    this.#known = Number(badge.querySelector("[data-unread-count]").textContent);
  }

  add(event) {
    if (event.sequence <= this.#newest) return;
    this.#added.push(event.sequence);
    this.#show();
  }

  // Ask the server: after a sleep, after missed events, after another tab has marked everything as read. Returns how
  // many more there are now; throws without an answer.
  async refresh() {
    const before = this.#count;
    const asked = ++this.#asked;
    const { unread, newest } = await this.#ask();
    if (asked < this.#answered) return 0;
    this.#answered = asked;
    this.#newest = Math.max(this.#newest, newest);
    // Of what came by events since the answer was made, the answer knows nothing.
    this.#known = unread;
    this.#added = this.#added.filter((sequence) => sequence > newest);
    this.#show();
    return this.#count - before;
  }

  get #count() {
    return this.#known + this.#added.length;
  }

  #show() {
    const count = this.#count;
    this.#badge.hidden = count === 0;
    this.#badge.querySelector("[data-unread-count]").textContent = String(count);
    for (const button of document.querySelectorAll("[data-mark-all]")) button.disabled = count === 0;
  }
}
