// The entry point of all pages for authenticated users: the header's two sockets, then the page's own.

import { Live } from "../tidewire/client.js";
import { CatchUp } from "../tidewire/catch-up.js";
import { isKept } from "./clock.js";
import { notifyDesktop } from "./desktop.js";
import { Drafts, listUnsaved } from "./drafts.js";
import { editor } from "./editor.js";
import { menu } from "./menu.js";
import { isNews } from "./news.js";
import { Notices } from "./notices.js";
import { documentPage } from "./page-document.js";
import { documentsPage } from "./page-documents.js";
import { notificationsPage } from "./page-notifications.js";
import { operationsPage } from "./page-operations.js";
import { peoplePage } from "./page-people.js";
import { isolated } from "./people.js";
import { WayBack, askPages, isOver, renewForms } from "./session.js";
import { Signal } from "./signal.js";
import { keepTimes } from "./times.js";
import { Toasts } from "./toasts.js";
import { Unread } from "./unread.js";

// A page that the browser prerenders is shown later or never, and must not open a socket until then.
if (document.prerendering) {
  await new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }));
}

const find = (selector) => document.querySelector(selector);
const data = document.body.dataset;
const me = data.user;
// The newest notification that the server knew of when it rendered this page.
const rendered = Number(data.newestNotification);
const urlOf = (event) => `${data.notificationsUrl}${event.notification_id}/`;

// A topic that does not exist: the page may know the reason.
const UNKNOWN_TOPIC = 4504;
// Any request to the pages renews the ticket that opens sockets without a query. The ticket lives 15 minutes, and is
// renewed in its second half (tidewire/auth/pages.py).
const TICKET_MS = 10 * 60_000;

const lives = new Set();
function retry() {
  for (const live of lives) if (live.state !== "closed") live.reconnectNow();
  wayBack.check();
}

const ask = (url) => askPages(url, data.loginUrl);
const signal = new Signal(find("[data-live-state]"), find("[data-announcer]"), retry);
const notices = new Notices({ signedOut: find("[data-signed-out]"), notice: find("[data-live-notice]"), retry });
const wayBack = new WayBack({
  ask: () => ask(data.sessionUrl),
  me,
  renew: () => renewForms(data.notificationsUrl),
  show: (why, detail) => notices.show(why, detail),
});
const unread = new Unread({ badge: find("[data-unread]"), ask: () => ask(data.unreadUrl), newest: rendered });
const toasts = new Toasts({ others: find("[data-toasts]"), own: find("[data-own-toasts]"), urlOf });

// Events that are lost for good are in the database: the count and the content of the page are read from there.
const catchUp = new CatchUp(async () => {
  const missed = await unread.refresh();
  await page.reload?.();
  if (missed > 0) toasts.showMissed(missed, data.notificationsUrl);
});

function open(path, { onUnknown, onState = () => {}, ...options }) {
  const live = new Live(path, {
    ...options,
    onState(state, detail) {
      if (detail.code === UNKNOWN_TOPIC && onUnknown) {
        lives.delete(live);
        signal.drop(live);
        wayBack.remove(live);
        onUnknown();
        return;
      }
      signal.set(live, state);
      notices.follow(live, state, detail);
      wayBack.follow(live, state, detail);
      onState(state);
    },
  });
  lives.add(live);
  signal.set(live, live.state);
  return live;
}

const PAGES = {
  documents: documentsPage,
  document: documentPage,
  edit: documentPage,
  notifications: notificationsPage,
  people: peoplePage,
  operations: operationsPage,
};
const page = PAGES[data.page]?.({ open, me, urlOf, slug: data.slug, phase: data.phase, url: data.documentUrl }) ?? {};

open("/ws/users/", {
  on: {
    "users.count": (event) => {
      find("[data-users-count]").textContent = String(event.count);
      find("[data-online]").title = event.names.map(isolated).join(", ");
      page.users?.(event);
    },
  },
});

const news = open("/ws/notifications/", {
  positions: { notifications: data.position },
  on: {
    "notification.created": (event) => {
      const own = event.actor === me;
      if (isNews(news)) {
        toasts.show(event, { own });
        if (!own) notifyDesktop(event, urlOf(event));
      }
      if (!own) unread.add(event);
      if (event.sequence > rendered) page.notification?.(event);
    },
  },
  onGap: () => catchUp.start(),
});

// Without a network the indicator shows it, and the next request asks again.
const refresh = () => unread.refresh().catch(() => {});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
setInterval(refresh, TICKET_MS);
// A cached page may outlive its session: it must show nothing until the server has confirmed the same user.
window.addEventListener("pageshow", async (event) => {
  if (!event.persisted) return;
  document.body.hidden = true;
  if (await isOver(() => ask(data.sessionUrl), me)) {
    window.location.reload();
    return;
  }
  document.body.hidden = false;
  refresh();
});

if (isKept) refresh();

const drafts = new Drafts(data.userId);
for (const place of document.querySelectorAll("[data-saved-draft]")) drafts.saved(place.dataset.savedDraft);
drafts.reconciled = drafts.reconcile(data.draftUrl, find("[name=csrfmiddlewaretoken]").value);
drafts.reconciled.then(() => find("[data-unsaved-list]") && listUnsaved(find("[data-unsaved-list]"), drafts));
for (const form of document.querySelectorAll("[data-editor]")) editor(form, drafts, data.slug ?? "new");
menu(find("[data-menu]"));
keepTimes(refresh);
