// A document's badge: free, read or edited, and the names. Renders the same as templates/web/_badge.html.

import { element, person } from "./people.js";

const LABELS = { free: "Free", read: "Read", update: "Write" };
const FREE = { phase: "free", readers: [], editors: [], reader_count: 0, editor_count: 0 };

function render(badge, status) {
  badge.dataset.phase = status.phase;
  badge.querySelector("[data-badge-label]").textContent = LABELS[status.phase] ?? "–";
  const people = [
    ...status.editors.map((name) => person(name, "editing")),
    ...status.readers.map((name) => person(name, "reading")),
  ];
  const unnamed = status.editor_count + status.reader_count - status.editors.length - status.readers.length;
  if (unnamed > 0) people.push(element("li", "person is-more", `+${unnamed}`));
  badge.querySelector("[data-badge-people]").replaceChildren(...people);
}

// `documents` maps slugs to statuses. If `complete`, a document that is not named is free.
export function showStatuses(documents, complete) {
  for (const place of document.querySelectorAll("[data-document]")) {
    const badge = place.querySelector("[data-badge]");
    if (!badge) continue;
    const known = Object.hasOwn(documents, place.dataset.document);
    if (known) render(badge, documents[place.dataset.document]);
    else if (complete) render(badge, FREE);
  }
}
