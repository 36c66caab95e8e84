// A document that is read or edited: its other users, and whether it changed since this page was rendered.

import { showStatuses } from "./badges.js";
import { fetchPage } from "../tidewire/catch-up.js";
import { announceEditing } from "./editing.js";
import { unsaved } from "./editor.js";
import { EditLease } from "./lease.js";
import { written } from "./people.js";

// A holder must detect an unresponsive server before the lease passes to another editor.
const EDITING_HEARTBEAT_MS = 5000;

export function documentPage({ open, me, slug, phase, url }) {
  const form = document.querySelector("[data-editor]");
  const panel = document.querySelector("[data-lease-panel]");
  let newer = false;
  const lease = panel && new EditLease({ panel, form, me, gain });

  // Nothing was typed here yet, so the page continues from the version that the other editor saved.
  function gain() {
    if (newer && !unsaved(form)) window.location.reload();
  }

  const changed = document.querySelector("[data-changed]");
  const second = document.querySelector("[data-second-editor]");

  // `parts` are texts and elements.
  function showNotice(parts, { gone = false } = {}) {
    if (!changed) return;
    changed.querySelector("[data-changed-text]").replaceChildren(...parts);
    const link = changed.querySelector("[data-changed-link]");
    if (link) link.hidden = gone;
    changed.hidden = false;
  }

  function warn(status) {
    const names = status.editors.filter((name) => name !== me);
    second.hidden = names.length === 0;
    const place = second.querySelector("[data-second-editor-names]");
    if (!names.length || place.textContent === names.join(", ")) return; // a rewritten alert is read out again
    place.replaceChildren(...names.flatMap((name, i) => [...(i ? [", "] : []), written("bdi", name)]));
    second.querySelector("[data-second-editor-verb]").textContent = names.length === 1 ? "is" : "are";
  }

  const live = open(`/ws/document/${slug}/${phase}/`, {
    heartbeatMs: lease ? EDITING_HEARTBEAT_MS : undefined,
    on: {
      "lease.status": (status) => lease?.update(status),
      "document.status": (status) => {
        showStatuses({ [status.slug]: status }, false);
        if (second) warn(status);
      },
    },
    onState: (state) => {
      if (state === "closed") lease?.end();
      else lease?.show();
    },
    onUnknown: () => {
      showNotice(["This document has been deleted."], { gone: true });
      lease?.end();
    },
  });
  lease?.attach(live);
  if (phase === "update") announceEditing(form);

  function showNewer(who) {
    newer = true;
    const then = phase === "read" ? "" : " When you save, you will see both next to each other.";
    showNotice([who, ` saved a newer version just now.${then}`]);
  }

  return {
    notification(event) {
      if (event.slug !== slug) return;
      const who = event.actor === me ? "You" : written("bdi", event.actor);
      const yours = phase === "update" ? " Your text here is not lost." : "";
      if (event.verb === "deleted") showNotice([who, ` deleted this document.${yours}`], { gone: true });
      else if (event.verb === "updated") showNewer(who);
    },
    // The page of the document itself contains the newest version.
    async reload() {
      const fresh = await fetchPage(url);
      if (fresh === null) return showNotice(["This document has been deleted."], { gone: true });
      const version = document.querySelector("[data-version]")?.dataset.version ?? form.elements.version.value;
      if (fresh.querySelector("[data-version]").dataset.version !== version) showNewer("Another user");
    },
  };
}
