// News in the corner of the page. News of other users is read out politely; the user's own is smaller and silent.

import { element, face, written } from "./people.js";
import { phrase } from "./news.js";

const SHOWN_MS = 7000;
const OWN_SHOWN_MS = 3500;
// More than these would cover the page; the list has the rest.
const AT_ONCE = 3;

export class Toasts {
  #others;
  #own;
  #urlOf;
  #more = 0;

  constructor({ others, own, urlOf }) {
    this.#others = others;
    this.#own = own;
    this.#urlOf = urlOf;
  }

  show(event, { own }) {
    const place = own ? this.#own : this.#others;
    if (own) place.replaceChildren();
    else if (place.childElementCount >= AT_ONCE) {
      this.#showMore(place.lastElementChild);
      return;
    }
    const toast = element("div", own ? "toast is-own" : "toast");
    toast.dataset.toast = event.verb;
    toast.append(this.#text(event, own), this.#dismiss(toast));
    if (!own) toast.prepend(face(event.actor));
    place.append(toast);
    this.#leaveLater(toast, own ? OWN_SHOWN_MS : SHOWN_MS);
  }

  // Replaces a toast for each of them.
  showMissed(count, url) {
    const text = element("p", "", "While this page was away: ");
    const link = element("a", "", count === 1 ? "1 notification" : `${count} notifications`);
    link.href = url;
    text.append(link);
    const toast = element("div", "toast");
    toast.dataset.toast = "missed";
    toast.append(text, this.#dismiss(toast));
    this.#others.append(toast);
    this.#leaveLater(toast, SHOWN_MS);
  }

  #text(event, own) {
    const text = element("p");
    text.append(own ? element("b", "", "You") : written("b", event.actor), ` ${phrase(event)} `);
    if (event.verb === "deleted") text.append(written("s", event.title));
    else {
      const link = written("a", event.title);
      link.href = this.#urlOf(event);
      text.append(link);
    }
    return text;
  }

  #dismiss(toast) {
    const button = element("button", "", "×");
    button.type = "button";
    button.setAttribute("aria-label", "Dismiss");
    button.addEventListener("click", () => this.#remove(toast));
    return button;
  }

  #showMore(last) {
    this.#more += 1;
    const text = last.querySelector("p");
    const more = text.querySelector("[data-more]") ?? text.appendChild(element("span", "meta"));
    more.dataset.more = this.#more;
    more.textContent = ` and ${this.#more} more`;
  }

  // A toast under the pointer or with the focus must not disappear.
  #leaveLater(toast, after) {
    let timer = setTimeout(() => this.#remove(toast), after);
    const stay = () => clearTimeout(timer);
    const leave = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.#remove(toast), after);
    };
    toast.addEventListener("pointerenter", stay);
    toast.addEventListener("focusin", stay);
    toast.addEventListener("pointerleave", leave);
    toast.addEventListener("focusout", leave);
  }

  #remove(toast) {
    toast.remove();
    if (!this.#others.childElementCount) this.#more = 0;
  }
}
