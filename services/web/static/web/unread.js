// The unread count in the header. The page knows all notifications up to a number; only later ones are added.

export class Unread {
  #badge;
  #ask;
  #newest;
  #known; // number of unread ones up to the newest
  #added = []; // the later ones
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

  // Reads the count from the server: after a sleep, after lost events, or after another tab has marked all as read.
  // Returns the increase; throws without a response.
  async refresh() {
    const before = this.#count;
    const asked = ++this.#asked;
    const { unread, newest } = await this.#ask();
    if (asked < this.#answered) return 0;
    this.#answered = asked;
    this.#newest = Math.max(this.#newest, newest);
    // Notifications that arrived by event after the response was made are not included in it.
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
