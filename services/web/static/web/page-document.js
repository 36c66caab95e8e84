// A document being read or edited: who else is in it, and whether it changed under this page.

import { showStatuses } from "./badges.js";

export function documentPage({ open, me, slug, phase }) {
  const changed = document.querySelector("[data-changed]");
  const second = document.querySelector("[data-second-editor]");

  function say(text, { gone = false } = {}) {
    if (!changed) return;
    changed.querySelector("[data-changed-text]").textContent = text;
    const link = changed.querySelector("[data-changed-link]");
    if (link) link.hidden = gone;
    changed.hidden = false;
  }

  function warn(status) {
    const names = status.editors.filter((name) => name !== me);
    const text = names.join(", ");
    second.hidden = names.length === 0;
    const place = second.querySelector("[data-second-editor-names]");
    if (!names.length || place.textContent === text) return; // an alert that is rewritten is read out again
    place.textContent = text;
    second.querySelector("[data-second-editor-verb]").textContent = names.length === 1 ? "is" : "are";
  }

  open(`/ws/document/${slug}/${phase}/`, {
    on: {
      "document.status": (status) => {
        showStatuses({ [status.slug]: status }, false);
        if (second) warn(status);
      },
    },
    unknown: () => say("This document has been deleted.", { gone: true }),
  });

  return {
    notification(event) {
      if (event.slug !== slug) return;
      const who = event.actor === me ? "You" : event.actor;
      const yours = phase === "update" ? " Your text here is not lost." : "";
      if (event.verb === "deleted") say(`${who} deleted this document.${yours}`, { gone: true });
      else if (event.verb === "updated" && phase === "update") {
        say(`${who} saved a newer version just now. When you save, you will see both next to each other.`);
      } else if (event.verb === "updated") say(`${who} saved a newer version just now.`);
    },
    lost: () => say("This page missed some news; the document may have changed."),
  };
}
