// The list of notifications: new ones appear at the top of its first page.

import { fetchPage } from "../tidewire/catch-up.js";
import { element, face, written } from "./people.js";
import { phrase } from "./news.js";
import { timeElement } from "./times.js";
import { offerDesktop } from "./desktop.js";

// The list grows while the page is open; above this the oldest rows are removed, and are on the second page.
const ROWS = 100;

export function notificationsPage({ me, urlOf }) {
  const form = document.querySelector("[data-notifications]");
  const list = document.querySelector("[data-events]");
  offerDesktop(document.querySelector("[data-ask]"), document.querySelector("[data-ask-result]"));

  function row(event) {
    const own = event.actor === me;
    const made = element("li", own ? "event" : "event is-unread");
    made.dataset.notification = event.notification_id;
    made.dataset.sequence = event.sequence;
    const text = element("div", "event-text");
    const line = element("p");
    line.append(written("b", event.actor), ` ${phrase(event)} `);
    if (event.verb === "deleted") line.append(written("s", event.title));
    else {
      const link = written("a", event.title);
      link.href = urlOf(event);
      line.append(link);
    }
    const when = element("p", "meta");
    when.append(timeElement(event.at));
    text.append(line, when);
    made.append(face(event.actor), text);
    if (!own) {
      line.append(element("span", "is-sr-only", " (unread)"));
      const read = element("button", "button is-small is-ghosted", "Read up to here");
      read.type = "submit";
      read.name = "up_to";
      read.value = event.sequence;
      made.append(read);
    }
    return made;
  }

  return {
    notification(event) {
      for (const button of document.querySelectorAll("[data-mark-all]")) {
        button.value = Math.max(Number(button.value), event.sequence);
      }
      if (form.dataset.pageNumber !== "1") return;
      const known = list.querySelector(`[data-notification="${event.notification_id}"]`);
      // The page was rendered between the commit and the publishing: the row had no number yet.
      if (known?.dataset.sequence === "") known.remove();
      else if (known) return;
      document.querySelector("[data-empty]")?.remove();
      list.prepend(row(event));
      while (list.childElementCount > ROWS) list.lastElementChild.remove();
    },
    // The server renders and escapes the list; this function only replaces the old list.
    async reload() {
      const fresh = await fetchPage(window.location.href);
      if (fresh === null) return; // the list no longer has this page
      const newest = Number(fresh.querySelector("[data-mark-all]").value);
      // Notifications that arrived during the request may be missing from the response.
      const newer = [...list.children].filter((made) => Number(made.dataset.sequence) > newest);
      list.replaceChildren(...newer, ...fresh.querySelector("[data-events]").children);
      if (list.childElementCount) document.querySelector("[data-empty]")?.remove();
      document.querySelector(".pages")?.replaceWith(fresh.querySelector(".pages") ?? "");
      for (const button of document.querySelectorAll("[data-mark-all]")) {
        button.value = Math.max(Number(button.value), newest);
      }
    },
  };
}
