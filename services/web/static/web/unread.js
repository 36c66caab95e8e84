// The unread count in the header. The page knows everything up to one notification; only later ones count.

export class Unread {
  #badge;
  #url;
  #newest;
  #count;

  constructor({ badge, url, newest }) {
    this.#badge = badge;
    this.#url = url;
    this.#newest = newest;
    this.#count = Number(badge.querySelector("[data-unread-count]").textContent);
  }

  knows(event) {
    return event.notification_id <= this.#newest;
  }

  add() {
    this.#show(this.#count + 1);
  }

  // Asks the server: after a sleep, after missed events, after another tab has marked everything as read.
  async refresh() {
    try {
      const response = await fetch(this.#url, { headers: { Accept: "application/json" } });
      if (!response.ok || response.redirected) return;
      const { unread, newest } = await response.json();
      this.#newest = Math.max(this.#newest, newest);
      this.#show(unread);
    } catch {
      // The network is away; the indicator says so, and the next refresh asks again.
    }
  }

  #show(count) {
    this.#count = count;
    this.#badge.hidden = count === 0;
    this.#badge.querySelector("[data-unread-count]").textContent = String(count);
    for (const button of document.querySelectorAll("[data-mark-all]")) button.disabled = count === 0;
  }
}
