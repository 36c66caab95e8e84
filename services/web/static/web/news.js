// The text of a notification.

const PHRASES = { created: "created", updated: "updated", deleted: "deleted", edit_started: "started editing" };

export function phrase(event) {
  return PHRASES[event.verb] ?? event.verb;
}

// A page that was suspended overnight has missed many notifications, which are in its list and should not cause a toast
// each. They arrive in the first moments after its return. Timestamps are not compared, because the clock of the
// visitor or of a server may be wrong.
const NIGHT_MS = 5 * 60_000;
const RETURN_MS = 5000;

export function isNews(live) {
  return live.msSilentBeforeOpen < NIGHT_MS || live.msSinceOpen > RETURN_MS;
}
