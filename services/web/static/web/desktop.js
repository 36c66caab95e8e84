// The browser's own notifications. Permission must be requested on a click only.

import { phrase } from "./news.js";
import { isolated } from "./people.js";

const RESULTS = {
  granted: "You will be notified here while the dashboard is open in a tab.",
  denied: "Notifications are blocked for this site; the browser's settings for it can change that.",
  default: "",
};

export function notifyDesktop(event, url) {
  // A visible page shows a toast instead. The tag merges the notifications of several tabs into one.
  if (!("Notification" in window) || Notification.permission !== "granted" || !document.hidden) return;
  try {
    const shown = new Notification(event.title, { body: `${isolated(event.actor)} ${phrase(event)} it`, tag: event.id });
    shown.addEventListener("click", () => {
      window.focus();
      window.location.assign(url);
    });
  } catch {
    // Chrome on Android has the class but allows only service workers to use it; the toast is still shown.
  }
}

export function offerDesktop(button, result) {
  if (!("Notification" in window)) return;
  const show = () => {
    button.hidden = Notification.permission !== "default";
    result.textContent = RESULTS[Notification.permission];
  };
  button.addEventListener("click", async () => {
    await Notification.requestPermission();
    show();
  });
  show();
}
