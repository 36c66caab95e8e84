// The indicator of the live connection. A page has several sockets and shows the worst of their states.

const LABELS = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  stale: "Stale",
  closed: "Offline",
};
const WORST_FIRST = ["closed", "reconnecting", "stale", "connecting", "live"];
// A reconnect usually takes a moment. Only a longer one may interrupt a screen reader.
const ANNOUNCE_AFTER_MS = 3000;

export class Signal {
  #button;
  #announcer;
  #sockets = new Map();
  #announced = "live";
  #timer;

  constructor(button, announcer, retry) {
    this.#button = button;
    this.#announcer = announcer;
    // Without scripts there is no live connection to show.
    button.hidden = false;
    button.addEventListener("click", retry);
  }

  set(live, state) {
    this.#sockets.set(live, state);
    this.#show();
  }

  drop(live) {
    this.#sockets.delete(live);
    this.#show();
  }

  #show() {
    const states = [...this.#sockets.values()];
    const state = WORST_FIRST.find((candidate) => states.includes(candidate)) ?? "connecting";
    if (this.#button.dataset.liveState === state) return;
    this.#button.dataset.liveState = state;
    this.#button.disabled = state === "live";
    this.#button.querySelector("[data-live-label]").textContent = LABELS[state];
    document.documentElement.dataset.live = state;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#announce(state), ANNOUNCE_AFTER_MS);
  }

  #announce(state) {
    if (state === this.#announced || state === "connecting") return;
    this.#announced = state;
    this.#announcer.textContent =
      state === "live" ? "This page is live again." : `Live connection: ${LABELS[state].toLowerCase()}.`;
  }
}
