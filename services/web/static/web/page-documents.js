// The list of documents: badges from its socket, titles and times from notifications.

import { showStatuses } from "./badges.js";
import { fetchPage } from "../tidewire/catch-up.js";
import { written } from "./people.js";
import { timeElement } from "./times.js";

export function documentsPage({ open, me }) {
  const news = document.querySelector("[data-news]");
  let created = 0;

  let statuses = {};
  open("/ws/documents/", {
    on: {
      "documents.status": (event) => {
        statuses = event.complete ? event.documents : { ...statuses, ...event.documents };
        showStatuses(event.documents, event.complete);
      },
    },
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
      const who = event.actor === me ? "you" : written("bdi", event.actor);
      const did = event.verb === "deleted" ? "deleted" : "edited";
      place.querySelector("[data-updated]").replaceChildren(`${did} by `, who, " ", timeElement(event.at));
      place.classList.remove("is-fresh");
      void place.offsetWidth; // the browser restarts an animation only after it has seen the class removed
      place.classList.add("is-fresh");
    },
    // The server renders and escapes the list; the badges come from the socket, which may be newer.
    async reload() {
      const fresh = await fetchPage(window.location.href);
      if (fresh === null) return offerReload("This list has become shorter.");
      document.querySelector("[data-list]").replaceChildren(...fresh.querySelector("[data-list]").children);
      document.querySelector("[data-total]").textContent = fresh.querySelector("[data-total]").textContent;
      showStatuses(statuses, true);
      news.hidden = true;
      created = 0;
    },
  };
}
