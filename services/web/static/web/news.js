// What a notification says in words.

const PHRASES = { created: "created", updated: "updated", deleted: "deleted", edit_started: "started editing" };

export function phrase(event) {
  return PHRASES[event.verb] ?? event.verb;
}

// A page that slept through a night has missed things that are in its list, not worth a toast each. They come in the
// first moments of its return. No clock is asked when they happened: the visitor's, or a server's, may be wrong.
const NIGHT_MS = 5 * 60_000;
const RETURN_MS = 5000;

export function isNews(live) {
  return live.absence < NIGHT_MS || live.age > RETURN_MS;
}
