// The form that edits a document. Its text is kept as a draft while it is typed, and is restored automatically; leaving
// the page with unsaved text asks for confirmation. On the conflict page either version can be put into the form with
// one click.

import { serverNow } from "./clock.js";
import { markOf, timeOf } from "./drafts.js";

// The longest time of typing that a crash can lose.
const WRITE_AFTER_MS = 300;
const FIELDS = ["title", "body", "version", "submission"];

export function fieldsOf(form) {
  return [...form.querySelectorAll("input[name=title], textarea[name=body]")];
}

function typed(form) {
  return fieldsOf(form).some((field) => field.value !== field.defaultValue);
}

export function unsaved(form) {
  return "unsaved" in form.dataset || typed(form);
}

class DraftKeeper {
  #form;
  #drafts;
  #id;
  #own;
  #rendered; // the text and its version, as sent by the server
  #stored; // the text and its version, as last kept
  #release = () => {};
  #timer;

  constructor(form, drafts, place) {
    this.#form = form;
    this.#drafts = drafts;
    this.#rendered = this.#stored = this.#read();
    // The page that answers a form which was not saved names its draft, which is its only one.
    this.#own = form.elements.draft.value.split("@")[0];
    this.#id = this.#own || `${place}.${this.#rendered.submission}`;
    // The browser would restore the text without its version, into a form that may have a newer one.
    form.autocomplete = "off";
    form.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.write(), WRITE_AFTER_MS);
    });
    form.addEventListener("submit", () => this.write({ sent: true }));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.write();
    });
    window.addEventListener("pagehide", () => {
      this.write();
      this.#release();
    });
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) this.#comeBack();
    });
    this.#restore(place);
  }

  // Keeps the form's content, unless the server has it. A draft that is sent is marked, so that the response can name
  // it; until then the draft of a conflict keeps its old version.
  write({ sent = false } = {}) {
    clearTimeout(this.#timer);
    const now = this.#read();
    const changed = FIELDS.some((name) => now[name] !== this.#stored[name]);
    if (!changed && !sent) return;
    this.#stored = now;
    if (!unsaved(this.#form)) {
      this.#drafts.drop(this.#id);
      return;
    }
    const draft = { at: Math.round(serverNow()), ...now, sent };
    if (!this.#drafts.put(this.#id, draft)) {
      this.#showMessage("This browser keeps no copy of your text. Save it before you leave the page.");
    }
    this.#form.elements.draft.value = markOf(this.#id, draft);
  }

  async #restore(place) {
    await this.#drafts.reconciled;
    for (const draft of this.#drafts.list(place).filter(({ id }) => !this.#own || id === this.#own)) {
      const release = await this.#drafts.claim(draft.id);
      // Another tab has claimed it, or the user was faster.
      if (!release) continue;
      if (typed(this.#form)) {
        release();
        break;
      }
      if (this.#isRendered(draft) && !unsaved(this.#form)) {
        this.#drafts.drop(draft.id); // the server has it
        release();
        continue;
      }
      this.#id = draft.id;
      this.#release = release;
      if (!this.#isRendered(draft)) this.#bringBack(draft);
      return;
    }
    const delivered = this.#drafts.delivered.find((draft) => draft.place === place);
    if (delivered) this.#showMessage(`The text that you sent at ${timeOf(delivered.at)} is saved, and is in the list of documents.`);
    this.#release = (await this.#drafts.claim(this.#id)) ?? (() => {});
  }

  #bringBack(draft) {
    this.#form.hidden = false;
    this.#fill(draft);
    this.#stored = this.#read();
    const older = Number(draft.version) < Number(this.#rendered.version);
    const since = older ? " The document has been saved since you began: when you save, you will see both versions." : "";
    this.#showMessage(`Your unsaved text from ${timeOf(draft.at)} is back.${since}`);
    const button = this.#form.querySelector("[data-draft-drop]");
    let dropped = false;
    button.hidden = false;
    button.textContent = "Drop it";
    button.onclick = () => {
      dropped = !dropped;
      if (dropped) draft = { ...draft, ...this.#read() };
      this.#fill(dropped ? this.#rendered : draft);
      this.write();
      if (dropped) this.#drafts.drop(this.#id);
      button.textContent = dropped ? "Bring it back" : "Drop it";
    };
  }

  // The page comes out of the browser's cache. Without a draft its text is saved, or was never changed.
  #comeBack() {
    if (!this.#drafts.has(this.#id)) {
      window.location.reload();
      return;
    }
    this.#drafts.claim(this.#id).then((release) => {
      this.#release = release ?? (() => {});
    });
  }

  #isRendered(draft) {
    return draft.title === this.#rendered.title && draft.body === this.#rendered.body;
  }

  #read() {
    const { title, body, version, submission } = this.#form.elements;
    return { title: title.value, body: body.value, version: version?.value ?? "", submission: submission.value };
  }

  #fill({ title, body, version, submission }) {
    const { elements } = this.#form;
    elements.title.value = title;
    elements.body.value = body;
    elements.submission.value = submission;
    if (elements.version && version) elements.version.value = version;
  }

  #showMessage(text) {
    const notice = this.#form.querySelector("[data-draft]");
    notice.querySelector("[data-draft-text]").textContent = text;
    notice.hidden = false;
  }
}

export function editor(form, drafts, place) {
  const keeper = new DraftKeeper(form, drafts, place);
  let leaving = false;

  form.addEventListener("submit", () => {
    leaving = true;
  });
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && !form.hidden && unsaved(form)) event.preventDefault();
  });
  // A page that comes back from the browser's cache protects its text again.
  window.addEventListener("pageshow", () => {
    leaving = false;
  });

  for (const button of document.querySelectorAll("[data-take]")) {
    const source = document.querySelector(`[data-source="${button.dataset.take}"]`);
    button.hidden = false;
    button.addEventListener("click", () => {
      const [title, body] = fieldsOf(form);
      title.value = source.dataset.title;
      body.value = source.value;
      keeper.write();
      body.focus();
    });
  }
}
