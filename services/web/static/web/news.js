// What a notification says in words.

const PHRASES = { created: "created", updated: "updated", deleted: "deleted", edit_started: "started editing" };

export function phrase(event) {
  return PHRASES[event.verb] ?? event.verb;
}

// A page that slept through a night has missed things that are in its list, not worth a toast each.
const NEWS_FOR_MS = 5 * 60 * 1000;

export function isNews(event) {
  return Date.now() - Date.parse(event.at) < NEWS_FOR_MS;
}
