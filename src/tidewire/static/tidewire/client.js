// A live socket: reconnects, resumes from its position, and reports its state. Owns the connection and never touches
// the page.

import { CLOSE_CODES } from "./close-codes.js";
import { Positions } from "./positions.js";
import { drainMs, isFinal, reconnectDelay } from "./reconnect.js";
import { Timer, moment, since, sinceAtMost } from "./stopwatch.js";

// Shorter than the timeouts of the proxy and the server, so that an idle socket remains open.
const HEARTBEAT_MS = 20_000;
// Longest wait for a reply, which may be late on a phone. A handshake may take half of this; a check that has a reason,
// a quarter.
const TIMEOUT_MS = 20_000;
// A socket that was open for this long does not count as a failed attempt.
const STABLE_MS = 10_000;
// A refusal follows right after the handshake, so a socket without a message counts as live only after this time.
const REFUSAL_MS = 1000;
// A younger attempt to connect must not be restarted because the page became visible.
const MIN_ATTEMPT_MS = 2000;
// Any code that is neither final nor that of a closed page, so that the server keeps an editor's lease for the return.
const RECONNECT_CODE = 3001;

/**
 * A socket on `path`. Raises `TypeError` for an invalid path or position.
 *   on: a function per event type, called with the event
 *   onState: called with "connecting" | "live" | "reconnecting" | "stale" | "closed", and a detail: `code`, `reason`,
 *            `final`, `delay_ms` if there is one
 *   positions: the positions of the page, `{topic: "epoch.mark:offset"}`; "" if the server could not determine one, so
 *            that events may have been missed; a topic without a position gets only new events
 *   onGap: called with the `resumed` event of a topic if missed events cannot be recovered: the page must reload the data
 *            that they changed
 *   heartbeatMs: time between heartbeats, less if the page must detect an unavailable server sooner
 *   timeoutMs: time within which the server must reply
 * A final close ends the attempts until `reconnectNow`.
 */
export class Live {
  constructor(
    path,
    {
      on = {},
      onState = () => {},
      positions = {},
      onGap = () => {},
      heartbeatMs = HEARTBEAT_MS,
      timeoutMs = TIMEOUT_MS,
    } = {},
  ) {
    this._url = socketUrl(path);
    this._positions = new Positions(positions);
    this.path = path;
    this.state = "connecting";
    this._on = on;
    this._on_state = onState;
    this._on_gap = onGap;
    this._heartbeat_ms = heartbeatMs;
    this._timeout_ms = timeoutMs;
    this._socket = null;
    this._ended = false;
    this._attempt = 0;
    this._received_at = moment();
    this.msSilentBeforeOpen = 0; // longest time without a message from the server before this socket opened
    this._reply_ms = timeoutMs / 2; // duration of the last reply; none is known yet
    this._timer = new Timer(); // of the handshake, then of the next heartbeat or its reply, then of the reconnect
    this._refusal = new Timer();
    this._events = [
      [window, "offline", () => this._offline()],
      [window, "online", () => this._wake({ network: true })],
      // Without `persisted` it is the end of loading, which on a busy machine comes after the first handshake has begun.
      [window, "pageshow", (event) => event.persisted && this._wake({ restored: true })],
      [document, "resume", () => this._wake()],
      [document, "visibilitychange", () => document.visibilityState === "visible" && this._wake()],
    ];
    for (const [target, type, listener] of this._events) target.addEventListener(type, listener);
    this._connect();
  }

  /** Close for good. */
  close() {
    this._ended = true;
    for (const [target, type, listener] of this._events) target.removeEventListener(type, listener);
    this._stop();
    this._detach(1000);
    this._change("closed", { code: 1000, reason: "closed by the page", final: true });
  }

  /** Reconnect now instead of after the delay; also after a final close. An open socket is checked. */
  reconnectNow() {
    if (this._ended) return;
    if (this._isOpen) this.check();
    else this._connect();
  }

  /** Send an event to the server. Returns whether it was sent; nothing is queued. */
  send(event) {
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
  get msSinceLastMessage() {
    return sinceAtMost(this._received_at);
  }

  /** Milliseconds since this socket opened. */
  get msSinceOpen() {
    return this._opened_at === null ? 0 : since(this._opened_at);
  }

  /** Check now, instead of at the next heartbeat, whether the server responds. */
  check() {
    if (this._isOpen) this._expect_reply(this._check_timeout_ms);
  }

  get _isOpen() {
    return this._socket?.readyState === WebSocket.OPEN;
  }

  /** The timeout of a check that has a reason; longer for a server that is known to be slow. */
  get _check_timeout_ms() {
    return Math.min(this._timeout_ms, Math.max(this._timeout_ms / 4, 2 * this._reply_ms));
  }

  _connect() {
    this._detach();
    this._stop();
    if (this.state === "closed") this._change("reconnecting", { reason: "trying again", final: false });
    if (this._ended) return;
    this._started_at = moment();
    this._opened_at = null;
    this._received_any = false;
    this._drain_ms = null;
    this._unanswered = 0; // pings without a reply
    this._deadline = Infinity; // the time at which the pending check fails
    this._network_lost = false; // the browser reports that the network is gone
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
    this._timer.deadline(this._timeout_ms / 2, () => this._give_up("the server did not answer the handshake"));
  }

  /** Detach the current socket: further messages are ignored, and its close is not awaited. */
  _detach(code = RECONNECT_CODE) {
    const socket = this._socket;
    if (!socket) return;
    this._socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  _give_up(reason) {
    this._detach();
    this._closed(1006, reason);
  }

  _opened() {
    this.msSilentBeforeOpen = this.msSinceLastMessage;
    this._opened_at = this._received_at = moment();
    this._expect_reply(this._timeout_ms);
    this._refusal.start(REFUSAL_MS, () => this._show());
  }

  /** Ping the server; without a reply the socket is given up after `ms`. An earlier deadline remains in force. */
  _expect_reply(ms) {
    const at = performance.now() + ms;
    if (this._deadline <= at) return;
    this._deadline = at;
    this._pinged_at = moment();
    this._ping();
    const again = () => {
      this._ping();
      return this._check_timeout_ms;
    };
    this._timer.deadline(ms, () => this._check_reply(), again);
  }

  _ping() {
    this._unanswered += 1;
    this.send({ type: "ping" });
  }

  _check_reply() {
    // Any message counts as a reply, although it may have been sent before the ping.
    if (this._received_at.steady <= this._pinged_at.steady) this._give_up("the server does not answer");
    else if (this._network_lost || this._unanswered === 0) this._replied();
    else {
      this._deadline = Infinity;
      this._unanswered = 0;
      this._expect_reply(this._timeout_ms);
    }
  }

  /**
   * The next heartbeat is started by this reply, not by a timer: in hidden tabs browsers run a timer that a timer
   * started only once a minute, but not a timer that a message started.
   */
  _replied() {
    this._network_lost = false;
    this._unanswered = 0;
    this._deadline = Infinity;
    this._timer.start(this._heartbeat_ms, () => this._expect_reply(this._timeout_ms));
    this._show();
  }

  _received(text) {
    this._received_at = moment();
    this._received_any = true;
    const event = read(text);
    if (event === null) return;
    if (event.type === "stale") this._stale = event.stale === true;
    if (event.type !== "pong" && event.type !== "drain") this._show();
    switch (event.type) {
      case "pong":
        this._reply_ms = since(this._pinged_at);
        this._unanswered = Math.max(0, this._unanswered - 1);
        if (this._unanswered === 0 && !this._network_lost && this._deadline < Infinity) this._replied();
        return;
      case "drain":
        this._drain_ms = drainMs(event);
        return;
      case "stale":
        return;
      case "resumed":
        this._positions.resumed(event);
        if (!event.recovered) guarded(this._on_gap, event);
        return;
    }
    if (Number.isInteger(event.offset) && this._positions.isRepeat(event)) return;
    if (Object.hasOwn(this._on, event.type)) guarded(this._on[event.type], event);
  }

  /** The state of an open socket. */
  _show() {
    this._refusal.stop();
    if (!this._network_lost) this._change(this._stale ? "stale" : "live");
  }

  _closed(code, reason = CLOSE_CODES[code] ?? `the connection was lost (${code})`) {
    this._stop();
    this._socket = null;
    if (isFinal(code)) {
      this._change("closed", { code, reason, final: true });
      return;
    }
    // A socket that was open for a while does not count as a failed attempt: start again with short delays.
    if (this._received_any && since(this._opened_at) > STABLE_MS) this._attempt = 0;
    const delay = reconnectDelay(code, this._attempt, this._drain_ms);
    this._attempt += 1;
    this._timer.start(delay, () => this._connect());
    this._change("reconnecting", { code, reason, final: false, delay_ms: delay });
  }

  /** The browser reports that there is no network. After some seconds the server's reply decides. */
  _offline() {
    if (!this._isOpen) return;
    this._deadline = Infinity;
    this._network_lost = true;
    this._refusal.stop();
    this._expect_reply(this._check_timeout_ms);
    this._change("reconnecting", { code: 1006, reason: "this device is offline", final: false });
  }

  /** The page woke up or the network came back: skip a delay that was meant for failures. */
  _wake({ network = false, restored = false } = {}) {
    if (this.state === "closed") return;
    if (network) {
      this._attempt = 0;
      this._network_lost = false;
      this._deadline = Infinity; // the reply to an earlier ping may have been missed
    }
    // Sockets of a page in the back-forward cache are closed, whether or not the page was notified.
    if (restored || !this._socket) this._connect();
    else if (this._isOpen) this.check();
    else if (network || since(this._started_at) > MIN_ATTEMPT_MS) this._connect();
  }

  _stop() {
    this._timer.stop();
    this._refusal.stop();
  }

  _change(state, detail = {}) {
    if (this.state === state && state !== "reconnecting") return;
    this.state = state;
    guarded(this._on_state, state, detail);
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
