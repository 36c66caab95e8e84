// A live socket: reconnects, resumes from its position, and reports its state. Owns the connection and never touches
// the page.

import { CLOSE_CODES } from "./close-codes.js";
import { Positions } from "./positions.js";
import { drainMs, isFinal, returnDelay } from "./returns.js";
import { Timer, moment, since, sinceAtMost } from "./stopwatch.js";

// Shorter than the timeouts of the proxy and the server, so that an idle socket remains open.
const HEARTBEAT_MS = 20_000;
// Longest wait for a reply, which may be late on a phone. A handshake may take half of this; a check that has a reason,
// a quarter.
const PATIENCE_MS = 20_000;
// A socket that was open for this long does not count as a failed attempt.
const LIVED_MS = 10_000;
// A refusal follows right after the handshake, so a socket without a message counts as live only after this time.
const REFUSAL_MS = 1000;
// A younger attempt to connect must not be restarted because the page became visible.
const YOUNG_MS = 2000;
// Any code that is neither final nor that of a closed page, so that the server keeps an editor's lease for the return.
const RETURNS = 3001;

/**
 * A socket on `path`. Raises `TypeError` for an invalid path or position.
 *   on:    a function per event type, called with the event
 *   state: called with "connecting" | "live" | "reconnecting" | "stale" | "closed", and a detail: `code`, `reason`,
 *          `final`, `delay_ms` if there is one
 *   at:    the positions of the page, `{topic: "epoch.mark:offset"}`; "" if the server could not determine one, so that
 *          events may have been missed; a topic without a position gets only new events
 *   lost:  called with the event `resumed` of a topic if missed events cannot be recovered: the page must reload the
 *          data they changed
 *   heartbeat: milliseconds between heartbeats, fewer if the page must detect an unavailable server sooner
 *   patience: milliseconds within which the server must reply
 * A final close ends the attempts until `reconnectNow`.
 */
export class Live {
  constructor(
    path,
    { on = {}, state = () => {}, at = {}, lost = () => {}, heartbeat = HEARTBEAT_MS, patience = PATIENCE_MS } = {},
  ) {
    this._url = socketUrl(path);
    this._positions = new Positions(at);
    this.path = path;
    this.state = "connecting";
    this._on = on;
    this._tell = state;
    this._lost = lost;
    this._heartbeat = heartbeat;
    this._patience = patience;
    this._socket = null;
    this._ended = false;
    this._attempt = 0;
    this._heard = moment();
    this.absence = 0; // longest time without a message from the server before this socket opened, in milliseconds
    this._answer_ms = patience / 2; // duration of the last reply; none is known yet
    this._timer = new Timer(); // of the handshake, then of the next heartbeat or its reply, then of the reconnect
    this._refusal = new Timer();
    this._events = [
      [window, "offline", () => this._offline()],
      [window, "online", () => this._woken({ network: true })],
      [window, "pageshow", (event) => this._woken({ restored: event.persisted })],
      [document, "resume", () => this._woken()],
      [document, "visibilitychange", () => document.visibilityState === "visible" && this._woken()],
    ];
    for (const [target, type, listener] of this._events) target.addEventListener(type, listener);
    this._connect();
  }

  /** Close for good. */
  close() {
    this._ended = true;
    for (const [target, type, listener] of this._events) target.removeEventListener(type, listener);
    this._stop();
    this._drop(1000);
    this._change("closed", { code: 1000, reason: "closed by the page", final: true });
  }

  /** Reconnect now instead of after the delay; also after a final close. An open socket is checked. */
  reconnectNow() {
    if (this._ended) return;
    if (this._isOpen) this.check();
    else this._connect();
  }

  /** Send an event to the server. Returns whether it was sent; nothing is queued. */
  say(event) {
    const text = JSON.stringify(event);
    if (!this._isOpen) return false;
    try {
      this._socket.send(text);
    } catch {
      return false; // its close follows
    }
    return true;
  }

  /** Milliseconds since the last message of the server: the greater of the two clocks' values. */
  get silence() {
    return sinceAtMost(this._heard);
  }

  /** Milliseconds since this socket opened. */
  get age() {
    return this._opened_at === null ? 0 : since(this._opened_at);
  }

  /** Check now, instead of at the next heartbeat, whether the server responds. */
  check() {
    if (this._isOpen) this._ask(this._soon);
  }

  get _isOpen() {
    return this._socket?.readyState === WebSocket.OPEN;
  }

  /** The timeout of a check that has a reason; longer for a server that is known to be slow. */
  get _soon() {
    return Math.min(this._patience, Math.max(this._patience / 4, 2 * this._answer_ms));
  }

  _connect() {
    this._drop();
    this._stop();
    if (this.state === "closed") this._change("reconnecting", { reason: "trying again", final: false });
    if (this._ended) return;
    this._began = moment();
    this._opened_at = null;
    this._heard_any = false;
    this._drain_ms = null;
    this._owed = 0; // pings without a reply
    this._verdict_at = Infinity; // the time at which the pending check fails
    this._doubted = false; // the browser reports that the network is gone
    this._stale = false;
    const url = new URL(this._url);
    for (const position of this._positions.query) url.searchParams.append("at", position);
    let socket;
    try {
      socket = new WebSocket(url);
    } catch (error) {
      // Delayed until `new Live` has returned.
      this._timer.start(0, () => this._closed(1006, `the browser allows no socket: ${error.message}`));
      return;
    }
    this._socket = socket;
    socket.onopen = () => this._opened();
    socket.onmessage = (message) => this._received(message.data);
    socket.onclose = (closed) => this._closed(closed.code);
    this._timer.verdict(this._patience / 2, () => this._give_up("the server did not answer the handshake"));
  }

  /** Detach the current socket: further messages are ignored, and its close is not awaited. */
  _drop(code = RETURNS) {
    const socket = this._socket;
    if (!socket) return;
    this._socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  _give_up(reason) {
    this._drop();
    this._closed(1006, reason);
  }

  _opened() {
    this.absence = this.silence;
    this._opened_at = this._heard = moment();
    this._ask(this._patience);
    this._refusal.start(REFUSAL_MS, () => this._show());
  }

  /** Ping the server; without a reply the socket is given up after `ms`. An earlier deadline remains in force. */
  _ask(ms) {
    const at = performance.now() + ms;
    if (this._verdict_at <= at) return;
    this._verdict_at = at;
    this._asked = moment();
    this._ping();
    const again = () => {
      this._ping();
      return this._soon;
    };
    this._timer.verdict(ms, () => this._judge(), again);
  }

  _ping() {
    this._owed += 1;
    this.say({ type: "ping" });
  }

  _judge() {
    // Any message counts as a reply, although it may have been sent before the ping.
    if (this._heard.steady <= this._asked.steady) this._give_up("the server does not answer");
    else if (this._doubted || this._owed === 0) this._answered();
    else {
      this._verdict_at = Infinity;
      this._owed = 0;
      this._ask(this._patience);
    }
  }

  /**
   * The next heartbeat is started by this reply, not by a timer: in hidden tabs browsers run a timer that a timer
   * started only once a minute, but not a timer that a message started.
   */
  _answered() {
    this._doubted = false;
    this._owed = 0;
    this._verdict_at = Infinity;
    this._timer.start(this._heartbeat, () => this._ask(this._patience));
    this._show();
  }

  _received(text) {
    this._heard = moment();
    this._heard_any = true;
    const event = read(text);
    if (event === null) return;
    if (event.type === "stale") this._stale = event.stale === true;
    if (event.type !== "pong" && event.type !== "drain") this._show();
    switch (event.type) {
      case "pong":
        this._answer_ms = since(this._asked);
        this._owed = Math.max(0, this._owed - 1);
        if (this._owed === 0 && !this._doubted && this._verdict_at < Infinity) this._answered();
        return;
      case "drain":
        this._drain_ms = drainMs(event);
        return;
      case "stale":
        return;
      case "resumed":
        this._positions.resumed(event);
        if (!event.recovered) guarded(this._lost, event);
        return;
    }
    if (Number.isInteger(event.offset) && this._positions.isRepeat(event)) return;
    if (Object.hasOwn(this._on, event.type)) guarded(this._on[event.type], event);
  }

  /** The state of an open socket. */
  _show() {
    this._refusal.stop();
    if (!this._doubted) this._change(this._stale ? "stale" : "live");
  }

  _closed(code, reason = CLOSE_CODES[code] ?? `the connection was lost (${code})`) {
    this._stop();
    this._socket = null;
    if (isFinal(code)) {
      this._change("closed", { code, reason, final: true });
      return;
    }
    // A socket that was open for a while does not count as a failed attempt: start again with short delays.
    if (this._heard_any && since(this._opened_at) > LIVED_MS) this._attempt = 0;
    const delay = returnDelay(code, this._attempt, this._drain_ms);
    this._attempt += 1;
    this._timer.start(delay, () => this._connect());
    this._change("reconnecting", { code, reason, final: false, delay_ms: delay });
  }

  /** The browser reports that there is no network. After some seconds the server's reply decides. */
  _offline() {
    if (!this._isOpen) return;
    this._verdict_at = Infinity;
    this._doubted = true;
    this._refusal.stop();
    this._ask(this._soon);
    this._change("reconnecting", { code: 1006, reason: "this device is offline", final: false });
  }

  /** The page woke up or the network came back: skip a delay that was meant for failures. */
  _woken({ network = false, restored = false } = {}) {
    if (this.state === "closed") return;
    if (network) {
      this._attempt = 0;
      this._doubted = false;
      this._verdict_at = Infinity; // the reply to an earlier ping may have been missed
    }
    // Sockets of a page in the back-forward cache are closed, whether or not the page was notified.
    if (restored || !this._socket) this._connect();
    else if (this._isOpen) this.check();
    else if (network || since(this._began) > YOUNG_MS) this._connect();
  }

  _stop() {
    this._timer.stop();
    this._refusal.stop();
  }

  _change(state, detail = {}) {
    if (this.state === state && state !== "reconnecting") return;
    this.state = state;
    guarded(this._tell, state, detail);
  }
}

function socketUrl(path) {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  return url.href;
}

/** Return the event of a message, or null if the message is not an event. */
function read(text) {
  try {
    const event = JSON.parse(text);
    if (typeof event?.type === "string") return event;
  } catch {
    // Reported below, together with valid JSON that is not an event.
  }
  console.warn("tidewire: a message that is no event was ignored:", String(text).slice(0, 100));
  return null;
}

/** Call the page's callback. An exception is reported like that of any script, and must not affect the connection. */
function guarded(call, ...values) {
  try {
    call(...values);
  } catch (error) {
    reportError(error);
  }
}
