// Keeps "5 minutes ago" correct while a page is open. The words must match those of templatetags/times.py.

import { isDoubtful, serverNow } from "./clock.js";

const UNITS = [
  ["year", 365 * 86400],
  ["month", 30 * 86400],
  ["week", 7 * 86400],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const EVERY_MS = 30_000;
const words = new Intl.RelativeTimeFormat("en", { numeric: "always" });

function ago(at) {
  const seconds = (serverNow() - Date.parse(at)) / 1000;
  const unit = UNITS.find(([, length]) => seconds >= length);
  return unit ? words.format(-Math.floor(seconds / unit[1]), unit[0]) : "just now";
}

export function timeElement(at) {
  const time = document.createElement("time");
  time.dateTime = at;
  time.dataset.relative = "";
  time.textContent = ago(at);
  return time;
}

// `ask` sends a request to the server; the response contains the time.
export function keepTimes(ask) {
  setInterval(async () => {
    if (isDoubtful()) await ask();
    for (const time of document.querySelectorAll("time[data-relative]")) time.textContent = ago(time.dateTime);
  }, EVERY_MS);
}
