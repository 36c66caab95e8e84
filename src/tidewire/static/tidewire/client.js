// One live socket: it reconnects, resumes from where it was, and says how it is.
// It owns the connection and never touches the page.

import { CLOSE_CODES } from "./close-codes.js";
import { Positions } from "./positions.js";
import { drainMs, isFinal, returnDelay } from "./returns.js";
import { Timer, moment, since, sinceAtMost } from "./stopwatch.js";

// Below the proxy's and the server's own limits, so that an idle socket stays open.
const HEARTBEAT_MS = 20_000;
// An answer may be late on a phone. A handshake may take half of this; a check that has a reason takes a quarter.
const PATIENCE_MS = 20_000;
// A socket that lived as long was no failed attempt.
const LIVED_MS = 10_000;
// A refusal comes right after the handshake, so a socket without a message counts as live only after this time.
const REFUSAL_MS = 1000;
// An attempt to connect that is younger has not failed yet because the page was looked at.
const YOUNG_MS = 2000;
// Any code that is neither final nor that of a closed page: the server keeps an editor's lease for the return.
const RETURNS = 3001;

/**
 * A socket on `path`. Raises `TypeError` for a path or a position that cannot be one.
 *   on:    a function per event type, called with the event
 *   state: called with "connecting" | "live" | "reconnecting" | "stale" | "closed", and a detail: `code`, `reason`,
 *          `final`, `delay_ms` where there is one
 *   at:    where the page stands, `{topic: "epoch.mark:offset"}`; "" where the server could not say, so that events may
 *          have been missed; for a topic without a position the page wants only what comes
 *   lost:  called where events were missed that cannot be had again, with the `topic`: reload what they changed
 *   heartbeat: milliseconds between heartbeats, less where the page must notice sooner that the server is gone
 *   patience: milliseconds within which the server must answer
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
    this.absence = 0; // milliseconds that the server was not heard before this socket opened, at most
    this._answer_ms = patience / 2; // how long the last answer took; none is known yet
    this._timer = new Timer(); // of the handshake, then of the next heartbeat or its answer, then of the return
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

  /** Try now rather than when the delay has passed; also after a final close. An open socket is checked. */
  reconnectNow() {
    if (this._ended) return;
    if (this._isOpen) this.check();
    else this._connect();
  }

  /** Say an event to the server. Returns whether it was sent; nothing is kept for later. */
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

  /** Milliseconds that may have passed since the server was last heard: the most that either clock says. */
  get silence() {
    return sinceAtMost(this._heard);
  }

  /** Milliseconds that this socket has been open. */
  get age() {
    return this._opened_at === null ? 0 : since(this._opened_at);
  }

  /** Find out whether the server is there, now rather than at the next heartbeat. */
  check() {
    if (this._isOpen) this._ask(this._soon);
  }

  get _isOpen() {
    return this._socket?.readyState === WebSocket.OPEN;
  }

  /** The patience for a check that has a reason; a server that is known to be slow has more. */
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
    this._owed = 0; // pings that the server has not answered
    this._verdict_at = Infinity; // when the present question is judged
    this._doubted = false; // the browser says that the network is gone
    this._stale = false;
    const url = new URL(this._url);
    for (const position of this._positions.query) url.searchParams.append("at", position);
    let socket;
    try {
      socket = new WebSocket(url);
    } catch (error) {
      // Not before `new Live` has returned.
      this._timer.start(0, () => this._closed(1006, `the browser allows no socket: ${error.message}`));
      return;
    }
    this._socket = socket;
    socket.onopen = () => this._opened();
    socket.onmessage = (message) => this._received(message.data);
    socket.onclose = (closed) => this._closed(closed.code);
    this._timer.verdict(this._patience / 2, () => this._give_up("the server did not answer the handshake"));
  }

  /** Forget the present socket: nothing that it still says is heard, and its close is not waited for. */
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

  /** Ask the server whether it is there; without an answer it is judged after `ms`. An earlier verdict stands. */
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
    // A message is as good as an answer, though it may have been sent before the question.
    if (this._heard.steady <= this._asked.steady) this._give_up("the server does not answer");
    else if (this._doubted || this._owed === 0) this._answered();
    else {
      this._verdict_at = Infinity;
      this._owed = 0;
      this._ask(this._patience);
    }
  }

  /**
   * The next heartbeat follows from this answer, not from a clock: browsers run a timer that a timer started only once
   * a minute in hidden tabs, but not one that a message started.
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
    // A socket that lived a while was no failed attempt: start again with short delays.
    if (this._heard_any && since(this._opened_at) > LIVED_MS) this._attempt = 0;
    const delay = returnDelay(code, this._attempt, this._drain_ms);
    this._attempt += 1;
    this._timer.start(delay, () => this._connect());
    this._change("reconnecting", { code, reason, final: false, delay_ms: delay });
  }

  /** The browser says that there is no network. For some seconds its word counts, and then the server's answer. */
  _offline() {
    if (!this._isOpen) return;
    this._verdict_at = Infinity;
    this._doubted = true;
    this._refusal.stop();
    this._ask(this._soon);
    this._change("reconnecting", { code: 1006, reason: "this device is offline", final: false });
  }

  /** The page woke or the network came back: do not wait out a delay that was meant for a failure. */
  _woken({ network = false, restored = false } = {}) {
    if (this.state === "closed") return;
    if (network) {
      this._attempt = 0;
      this._doubted = false;
      this._verdict_at = Infinity; // a question from before may have had its answer
    }
    // What a page in the back-forward cache had open is closed, whether or not it was told.
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

/** The event of a message, or null where it is none. */
function read(text) {
  try {
    const event = JSON.parse(text);
    if (typeof event?.type === "string") return event;
  } catch {
    // Told below, with what is JSON but no event.
  }
  console.warn("tidewire: a message that is no event was ignored:", String(text).slice(0, 100));
  return null;
}

/** Call what the page gave. Its mistake is reported as any of a script, and does not reach the connection. */
function guarded(call, ...values) {
  try {
    call(...values);
  } catch (error) {
    reportError(error);
  }
}
