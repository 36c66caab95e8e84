// Notifications of the browser itself. Permission is asked for on a click and never otherwise.

import { phrase } from "./news.js";
import { isolated } from "./people.js";

const RESULTS = {
  granted: "You will be notified here while the dashboard is open in a tab.",
  denied: "Notifications are blocked for this site; the browser's settings for it can change that.",
  default: "",
};

export function notifyDesktop(event, url) {
  // Whoever looks at the page sees the toast. The tag makes one notification of several tabs.
  if (!("Notification" in window) || Notification.permission !== "granted" || !document.hidden) return;
  try {
    const shown = new Notification(event.title, { body: `${isolated(event.actor)} ${phrase(event)} it`, tag: event.id });
    shown.addEventListener("click", () => {
      window.focus();
      window.location.assign(url);
    });
  } catch {
    // Chrome on Android has the class but allows it to service workers only; the toast remains.
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
