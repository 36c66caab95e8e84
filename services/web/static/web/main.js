// Every logged-in page starts here: the header's two sockets, then what the page itself shows.

import { Live } from "../tidewire/client.js";
import { CatchUp } from "./catch-up.js";
import { notifyDesktop } from "./desktop.js";
import { editor } from "./editor.js";
import { menu } from "./menu.js";
import { isNews } from "./news.js";
import { documentPage } from "./page-document.js";
import { documentsPage } from "./page-documents.js";
import { notificationsPage } from "./page-notifications.js";
import { operationsPage } from "./page-operations.js";
import { peoplePage } from "./page-people.js";
import { Signal } from "./signal.js";
import { keepTimes } from "./times.js";
import { Toasts } from "./toasts.js";
import { Unread } from "./unread.js";

// A page that the browser prerenders is shown later or never. Until then it opens no socket.
if (document.prerendering) {
  await new Promise((resolve) => document.addEventListener("prerenderingchange", resolve, { once: true }));
}

const find = (selector) => document.querySelector(selector);
const data = document.body.dataset;
const me = data.user;
// The newest notification that the server already knew of when it rendered this page.
const rendered = Number(data.newestNotification);
const urlOf = (event) => `${data.notificationsUrl}${event.notification_id}/`;

// Final close codes that mean something to a page; any other shows as offline.
const SIGNED_OUT = [4500, 4501];
const UNKNOWN_TOPIC = 4504;
// Any request to the pages renews the ticket that opens sockets without a query. It lives 15 minutes, and is renewed
// in its second half (tidewire/ticket.py).
const TICKET_MS = 10 * 60_000;

const signal = new Signal(find("[data-live-state]"), find("[data-announcer]"));
const unread = new Unread({
  badge: find("[data-unread]"),
  url: data.unreadUrl,
  newest: rendered,
});
const toasts = new Toasts({ others: find("[data-toasts]"), own: find("[data-own-toasts]"), urlOf });

// What was missed and cannot be had again is in the database: the count, and what the page shows, are read from there.
const catchUp = new CatchUp(async () => {
  const missed = await unread.refresh();
  await page.lost?.();
  if (missed > 0) toasts.showMissed(missed, data.notificationsUrl);
});

function open(path, { unknown, state: tell = () => {}, ...options }) {
  const socket = {};
  const live = new Live(path, {
    ...options,
    state(state, detail) {
      if (detail?.code === UNKNOWN_TOPIC && unknown) {
        signal.drop(socket);
        unknown();
        return;
      }
      if (SIGNED_OUT.includes(detail?.code)) find("[data-signed-out]").hidden = false;
      signal.set(socket, state);
      tell(state);
    },
  });
  socket.reconnectNow = () => live.reconnectNow();
  signal.set(socket, live.state);
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
      find("[data-online]").title = event.names.join(", ");
      page.users?.(event);
    },
  },
});

open("/ws/notifications/", {
  at: data.position,
  on: {
    "notification.created": (event) => {
      const own = event.actor === me;
      if (isNews(event)) {
        toasts.show(event, { own });
        if (!own) notifyDesktop(event, urlOf(event));
      }
      if (!own) unread.add(event);
      if (event.sequence > rendered) page.notification?.(event);
    },
  },
  lost: () => catchUp.start(),
});

// The network may be away: the indicator says so, and the next one asks again.
const refresh = () => unread.refresh().catch(() => {});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
setInterval(refresh, TICKET_MS);
window.addEventListener("pageshow", (event) => {
  if (event.persisted) refresh();
});

for (const form of document.querySelectorAll("[data-editor]")) editor(form);
menu(find("[data-menu]"));
keepTimes();
