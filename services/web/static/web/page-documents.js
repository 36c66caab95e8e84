// The list of documents: badges from its socket, titles and times from notifications.

import { showStatuses } from "./badges.js";
import { timeElement } from "./times.js";

export function documentsPage({ open, me }) {
  const news = document.querySelector("[data-news]");
  let created = 0;

  open("/ws/documents/", {
    on: { "documents.status": (event) => showStatuses(event.documents, event.complete) },
  });

  function offerReload(text) {
    news.querySelector("[data-news-text]").textContent = text;
    news.hidden = false;
  }

  function row(slug) {
    return document.querySelector(`[data-documents] [data-document="${CSS.escape(slug)}"]`);
  }

  return {
    notification(event) {
      if (event.verb === "created") {
        created += 1;
        offerReload(created === 1 ? "There is a new document." : `There are ${created} new documents.`);
        return;
      }
      const place = row(event.slug);
      if (!place) return;
      if (event.verb === "deleted") {
        place.classList.add("is-gone");
        place.querySelector("[data-title]").removeAttribute("href");
      } else if (event.verb === "updated") {
        place.querySelector("[data-title]").textContent = event.title;
      } else return;
      const who = event.actor === me ? "you" : event.actor;
      const did = event.verb === "deleted" ? "deleted" : "edited";
      place.querySelector("[data-updated]").replaceChildren(`${did} by ${who} `, timeElement(event.at));
      place.classList.remove("is-fresh");
      void place.offsetWidth; // the browser restarts an animation only after it has seen the class gone
      place.classList.add("is-fresh");
    },
    lost: () => offerReload("This list may have changed."),
  };
}
