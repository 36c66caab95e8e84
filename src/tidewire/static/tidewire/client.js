// One live socket: it reconnects, resumes from where it was, and says how it is.
// It owns the connection and never touches the page.

import { CLOSE_CODES } from "./close-codes.js";

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
// Below the proxy's and the server's patience, so that an idle socket is not taken for a dead one.
const HEARTBEAT_MS = 20_000;
// A heartbeat's answer may be late on a phone; two missed ones are a dead connection.
const SILENCE_MS = 45_000;
// No stream has this epoch, so the server answers that events may have been missed.
const NOWHERE = "1:0";

/** Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter"). Milliseconds. */
export function backoff(attempt, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
}

/** Whether a close code means: do not come back. */
export function isFinal(code) {
  return (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
}

/**
 * A socket on `path`.
 *   on:    a function per event type, called with the event
 *   state: called with "connecting" | "live" | "reconnecting" | "stale" | "closed", and a detail
 *   at:    "epoch.mark:offset", where the page stands on a stream topic; "" where its server could not say, so that it may
 *          have missed events; without it, the page wants only what comes
 *   lost:  called where events were missed that cannot be had again: reload what they changed
 *   heartbeat: milliseconds between heartbeats, for who needs to know sooner that nobody answers
 */
export class Live {
  constructor(path, { on = {}, state = () => {}, at = null, lost = () => {}, heartbeat = HEARTBEAT_MS } = {}) {
    this.path = path;
    this.state = "connecting";
    this.at = at === "" ? NOWHERE : at;
    this._on = on;
    this._tell = state;
    this._lost = lost;
    this._heartbeat = heartbeat;
    this._heard = Date.now();
    this._attempt = 0;
    this._drainMs = null;
    this._stale = false;
    this._seen = new Set();
    this._timers = {};
    this._wake = () => this._woken();
    addEventListener("online", this._wake);
    addEventListener("pageshow", this._wake);
    document.addEventListener("visibilitychange", this._wake);
    this._connect();
  }

  /** Close for good. */
  close() {
    removeEventListener("online", this._wake);
    removeEventListener("pageshow", this._wake);
    document.removeEventListener("visibilitychange", this._wake);
    this._stopTimers();
    this._change("closed", { code: 1000, reason: "closed by the page", final: true });
    this._drop();
  }

  /** Try now rather than when the delay has passed. */
  reconnectNow() {
    if (this.state === "closed" || this._socket?.readyState === WebSocket.OPEN) return;
    this._connect();
  }

  /** Say an event to the server. Returns whether it was sent; nothing is kept for later. */
  say(event) {
    if (this._socket?.readyState !== WebSocket.OPEN) return false;
    this._socket.send(JSON.stringify(event));
    return true;
  }

  /** Milliseconds since anything was heard of the server. */
  get silence() {
    return Date.now() - this._heard;
  }

  /** Find out whether the server is there, now rather than at the next heartbeat. */
  check() {
    if (this._socket?.readyState === WebSocket.OPEN) this._beat();
  }

  _connect() {
    this._drop();
    this._stopTimers();
    const url = new URL(this.path, location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (this.at) url.searchParams.set("at", this.at);
    const socket = new WebSocket(url);
    this._socket = socket;
    socket.onopen = () => this._opened();
    socket.onmessage = (message) => this._received(message.data);
    socket.onclose = (closed) => this._closed(closed.code);
  }

  /** Forget the present socket; nothing it still says is heard. */
  _drop() {
    const socket = this._socket;
    if (!socket) return;
    this._socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  _opened() {
    this._heard = Date.now();
    this._openedAt = Date.now();
    this._timers.heartbeat = setInterval(() => this._beat(), this._heartbeat);
    this._stale = false;
    this._change("live");
  }

  _beat() {
    if (Date.now() - this._heard > SILENCE_MS) {
      this._drop();
      this._closed(1006);
      return;
    }
    this.say({ type: "ping" });
  }

  _received(text) {
    this._heard = Date.now();
    const event = JSON.parse(text);
    switch (event.type) {
      case "pong":
        return;
      case "drain":
        this._drainMs = event.reconnect_in_seconds * 1000;
        return;
      case "stale":
        this._stale = event.stale;
        this._change(event.stale ? "stale" : "live");
        return;
      case "resumed":
        this.at = event.at;
        if (!event.recovered) this._lost(event);
        return;
    }
    if (event.offset !== undefined && this._isRepeat(event)) return;
    this._on[event.type]?.(event);
  }

  /** Once beyond Redis: an event is known by its id, its place by its offset. */
  _isRepeat(event) {
    const [epoch] = (this.at ?? "0:0").split(/[.:]/);
    this.at = `${epoch}.${event.mark}:${event.offset}`;
    if (this._seen.has(event.id)) return true;
    this._seen.add(event.id);
    if (this._seen.size > 1000) this._seen.delete(this._seen.values().next().value);
    return false;
  }

  _closed(code) {
    this._stopTimers();
    this._socket = null;
    const final = isFinal(code);
    const reason = CLOSE_CODES[code] ?? `connection lost (${code})`;
    if (final) {
      this._change("closed", { code, reason, final });
      return;
    }
    // A socket that lived a while was no failed attempt: start again with short delays.
    if (this._openedAt && Date.now() - this._openedAt > 10_000) this._attempt = 0;
    const delay = this._drainMs === null ? backoff(this._attempt) : this._drainMs + backoff(0);
    this._attempt += 1;
    this._drainMs = null;
    this._openedAt = null;
    this._change("reconnecting", { code, reason, final, delay_ms: delay });
    this._timers.retry = setTimeout(() => this._connect(), delay);
  }

  /** The page woke or the network came back: do not wait out a delay that was meant for a failure. */
  _woken() {
    if (document.visibilityState === "hidden" || this.state === "closed") return;
    if (this._socket?.readyState === WebSocket.OPEN) this._beat();
    else if (!this._socket) this._connect();
  }

  _stopTimers() {
    clearInterval(this._timers.heartbeat);
    clearTimeout(this._timers.retry);
  }

  _change(state, detail = {}) {
    if (this.state === state && state !== "reconnecting") return;
    this.state = state;
    this._tell(state, detail);
  }
}
