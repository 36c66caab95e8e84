// The edit lease on the editing page: the holder, the requests, and the buttons for both. The lease is advisory: saving
// is always possible, and the server compares versions.

import { moment, since } from "../tidewire/stopwatch.js";
import { fieldsOf } from "./editor.js";
import { written } from "./people.js";

// In these states typing is disabled, until the visitor chooses to write anyway.
const OFF = ["theirs", "asking", "lost", "checking", "unsure"];
const BUTTONS = {
  asked: ["hand_over", "keep"],
  theirs: ["ask", "anyway"],
  asking: ["anyway"],
  lost: ["ask", "view", "anyway"],
  unsure: ["anyway"],
};
const EVERY_MS = 1000;
// An answer usually takes a moment; a doubt that is resolved by then should not cause a warning.
const CHECK_MS = 2000;

const name = (who) => written("b", who);
const seconds = (count) => `${count} ${count === 1 ? "second" : "seconds"}`;

const TEXTS = {
  unavailable: () => [
    "Live updates are unavailable, so other editors are not shown. You can go on: the second to save will see both versions.",
  ],
  unsure: () => ["The connection is lost, so another user may be writing by now. Your text stays here."],
  asked: ({ asker, answer }) => [
    name(asker),
    ` would like to write. Save first if your changes should come before theirs. Without an answer it is theirs in ${seconds(answer)}.`,
  ],
  asking: ({ holder, answer }) => [
    "You have asked ",
    name(holder),
    `. It is yours when they hand it over, or in ${seconds(answer)} if they do not answer.`,
  ],
  theirs: ({ holder, asker, refused }) =>
    refused
      ? [name(holder), " would like to go on writing."]
      : [name(holder), " is writing this document", ...(asker ? ["; ", name(asker), " has asked to be next."] : ["."])],
  lost: ({ holder }) => [name(holder), " is writing this document now. Your text stays here, and none of it is lost."],
  anyway: ({ holder }) => [
    ...(holder ? ["You are writing beside ", name(holder)] : ["You are writing without a connection"]),
    ". The second to save will see both versions.",
  ],
  gained: () => ["It is yours to write now."],
};

export class EditLease {
  #panel;
  #form;
  #fields;
  #me;
  #gain;
  #live;
  #status = {};
  #shown = "";
  #had = false; // this page had the lease
  #waited = false; // another editor had the lease while this page was open
  #refused = false; // this page asked for the lease and was refused
  #anyway = false;
  #gained = false;
  #asked = null; // start of the asker's wait, as known to this page
  #doubted_at = null; // start of the doubt about the holder

  // `gain` is called when the lease passes to this page from another editor.
  constructor({ panel, form, me, gain }) {
    this.#panel = panel;
    this.#form = form;
    this.#fields = fieldsOf(form);
    this.#me = me;
    this.#gain = gain;
    for (const button of panel.querySelectorAll("[data-lease-do]")) {
      button.addEventListener("click", () => this.#do(button.dataset.leaseDo));
    }
    // The clock may have jumped since the last check: this may be the first key after a closed lid was opened.
    form.addEventListener("beforeinput", (event) => {
      this.show();
      if (this.#off) event.preventDefault();
      else this.#gained = false;
    });
    setInterval(() => {
      if (!document.hidden) this.show();
    }, EVERY_MS);
  }

  // Uses the socket of the editing page.
  attach(live) {
    this.#live = live;
    this.show();
  }

  update(status) {
    const { holder, asker } = this.#status;
    this.#status = status;
    const mine = status.holder === this.#me;
    if (status.asker !== asker || status.holder !== holder) this.#asked = moment();
    this.#refused = !mine && status.holder === holder && (this.#refused || (asker === this.#me && !status.asker));
    if (status.asker) this.#refused = this.#gained = false;
    if (mine && this.#waited) {
      this.#gained = true;
      this.#gain();
    }
    this.#had ||= mine;
    this.#waited = Boolean(status.holder) && !mine;
    if (mine) this.#anyway = false;
    this.show();
  }

  // The socket is closed for good: there is no lease any more, and nothing to wait for.
  end() {
    this.#status = {};
    this.show();
  }

  get #off() {
    return !this.#anyway && OFF.includes(this.#state);
  }

  get #state() {
    const { holder, asker } = this.#status;
    if (this.#live?.state === "stale") return "unavailable";
    if (!holder) return "free";
    if (holder === this.#me) return this.#doubt ?? (asker ? "asked" : "mine");
    if (asker === this.#me) return "asking";
    return this.#had ? "lost" : "theirs";
  }

  // After a silence as long as an unrenewed lease lasts, another editor may have it. The server is asked at once.
  get #doubt() {
    if (!this.#live || this.#live.msSinceLastMessage <= this.#status.lease_seconds * 1000) {
      this.#doubted_at = null;
      return null;
    }
    this.#doubted_at ??= moment();
    this.#live.check();
    return this.#live.state === "live" && since(this.#doubted_at) < CHECK_MS ? "checking" : "unsure";
  }

  #do(what) {
    if (what === "anyway") this.#anyway = true;
    else if (what === "ask") this.#live.send({ type: "lease.ask" });
    else this.#live.send({ type: `lease.${what}`, asker: this.#status.asker });
    this.show();
    if (what === "anyway") this.#fields.at(-1).focus();
  }

  // Shows the current state; also called each second, because silence causes no event.
  show() {
    const state = this.#state;
    for (const field of this.#fields) field.readOnly = this.#off;
    const shown = this.#anyway && OFF.includes(state) ? "anyway" : state === "mine" && this.#gained ? "gained" : state;
    this.#form.dataset.lease = shown;
    this.#panel.hidden = !(shown in TEXTS);
    const buttons = shown === "anyway" ? (["checking", "unsure"].includes(state) ? [] : ["ask"]) : (BUTTONS[shown] ?? []);
    const waitsForOther = this.#status.asker && shown !== "asked";
    for (const button of this.#panel.querySelectorAll("[data-lease-do], [data-lease-view]")) {
      const what = button.dataset.leaseDo ?? "view";
      button.hidden = !buttons.includes(what) || (what === "ask" && Boolean(waitsForOther));
      button.disabled = what !== "anyway" && this.#live?.state !== "live";
    }
    this.#countDown(state);
    this.#showText(shown);
  }

  #countDown(state) {
    const left = this.#panel.querySelector("[data-lease-left]");
    left.hidden = !["asked", "asking"].includes(state) || this.#anyway;
    if (left.hidden) return;
    const seconds_left = this.#status.answer_seconds - since(this.#asked) / 1000;
    left.textContent = `${Math.max(0, Math.ceil(seconds_left))} s`;
  }

  // Screen readers read an alert again when it is rewritten, so it must be written only when it changes.
  #showText(shown) {
    const { holder, asker, answer_seconds: answer } = this.#status;
    const known = JSON.stringify([shown, holder, asker, this.#refused]);
    if (known === this.#shown) return;
    this.#shown = known;
    const text = TEXTS[shown]?.({ holder, asker, answer, refused: this.#refused }) ?? [];
    this.#panel.querySelector("[data-lease-text]").replaceChildren(...text);
  }
}
