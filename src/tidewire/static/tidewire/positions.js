// The page's position on each stream topic, and the events that it has received.

// Repeats come from a resume that overlaps with delivered events: as many as a resume may contain.
const SEEN = 1000;
// No stream has this epoch, so the server answers that events may have been missed.
const UNKNOWN_POSITION = "1:0";

export class Positions {
  #at = new Map();
  #seen = new Map();

  /** `positions` is `{topic: "epoch.mark:offset"}`. Raises `TypeError` for anything else. */
  constructor(positions) {
    if (positions === null || typeof positions !== "object" || Array.isArray(positions)) {
      throw new TypeError(
        `positions: expected an object such as {notifications: "3f1f.9a0c:12"}, a position per topic, not ${positions}`,
      );
    }
    for (const [topic, position] of Object.entries(positions)) {
      if (position === null || position === undefined) continue;
      if (typeof position !== "string") {
        throw new TypeError(`positions.${topic}: expected "epoch.mark:offset", not ${position}`);
      }
      this.#at.set(topic, position || UNKNOWN_POSITION);
    }
  }

  /** The positions as `topic:epoch:offset`, for the query of a socket. */
  get query() {
    return [...this.#at].map(([topic, position]) => `${topic}:${position}`);
  }

  /** The number of remembered events of a topic. */
  seen(topic) {
    return this.#seen.get(topic)?.size ?? 0;
  }

  /** Store the position that the server sent for a topic. */
  resumed({ topic, at }) {
    if (typeof topic === "string" && typeof at === "string") this.#at.set(topic, at);
  }

  /** Advance to an event of a stream. Returns whether the event is a repeat, by its id. */
  isRepeat({ topic, id, offset, mark }) {
    const [epoch, before] = (this.#at.get(topic) ?? UNKNOWN_POSITION).split(":");
    if (offset >= Number(before)) {
      const [name] = epoch.split(".");
      this.#at.set(topic, mark === undefined ? `${name}:${offset}` : `${name}.${mark}:${offset}`);
    }
    const seen = this.#seen.get(topic) ?? new Set();
    this.#seen.set(topic, seen);
    const known = id ?? offset;
    if (seen.has(known)) return true;
    seen.add(known);
    if (seen.size > SEEN) seen.delete(seen.values().next().value);
    return false;
  }
}
