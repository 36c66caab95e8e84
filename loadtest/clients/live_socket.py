"""A live socket that behaves like the page's client (tidewire/client.js): reconnects, resumes, sends heartbeats.

Runs on gevent. Each message goes to the run's accounts first, and its handling must not wait, because it may run in
the event loop itself (see socket_readers.py).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import Event as Signal
from websocket import WebSocket, WebSocketException

from loadtest.clients.connect import open_websocket, socket_url
from loadtest.clients.planted_damage import PlantedDamage
from loadtest.clients.socket_readers import Closed, SocketReader, socket_reader
from loadtest.clients.subscription import NO_ANSWERS, Subscription
from loadtest.run import figures
from loadtest.run.message_cache import Message
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Ledger, parse_position
from testkit.frame_parser import FrameError
from testkit.page_client import HANDSHAKE_SECONDS, PING, STREAM, SeenIds, longest_delay

# The interval of heartbeats, the time for an answer, and a margin.
IDLE_TIMEOUT_SECONDS = 45.0
# Close codes that the server plans and that are no failure: drained, session must be checked again.
PLANNED = (4000, 4005)
_turns = itertools.count()

logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], None]


class Unreadable(Exception):
    """A message breaks the protocol of the live sockets, which is a fault of the product."""


class LiveSocket:
    """A socket on `path`. `ledger` and the position `at` are for the stream topic; `name` groups paths in figures."""

    def __init__(
        self,
        run: Run,
        origin: str,
        path: str,
        *,
        cookie: str,
        name: str = "",
        on: Mapping[str, Handler] | None = None,
        at: str = "",
        ledger: Ledger | None = None,
    ) -> None:
        self.path = path
        self.name = name or path
        self.started = run.clock()
        self._run = run
        self._origin = origin
        self._cookie = cookie
        self._on = on or {}
        self._at = parse_position(at) if at else None
        # The position as text, which the server parses.
        self._position_text = at
        self._ledger = ledger
        # The page's position, if it is due all events from there.
        self._page = self._at if ledger is not None and ledger.epochs else None
        self._seen = SeenIds()
        self._socket: WebSocket | None = None
        self._reader: SocketReader | None = None
        self._damage = (
            PlantedDamage(run, run.planted, ledger.client, receive=self._receive, is_late=self._is_late)
            if run.planted is not None and ledger is not None
            else None
        )
        self._deliveries = run.meter("EVENT", figures.DELIVERY)
        self._intended = run.meter("EVENT", figures.INTENDED)
        self._closed = False
        self._attempt = 0
        self._drain_seconds: float | None = None
        self._catching_up_to: int | None = None
        # The number of times that the network was lost: of this client, and before its newest attempt to connect.
        self._losses = self._losses_before = 0
        self._may_connect = Signal()
        if run.network:
            self._may_connect.set()
        self._pinged: float | None = None
        self._subscribed = 0.0
        self._subscription = Subscription(run, self.name, ledger.client if ledger is not None else "")
        self._greenlet = gevent.spawn(self._run_until_closed)

    def close(self) -> None:
        """Close for good without waiting, as when a user leaves the page."""
        if self._closed:
            return
        if self._damage is not None:
            self._damage.undo()
        self._closed = True
        self._leave_ledger()
        self._release(polite=True)
        self._greenlet.kill(block=False)

    def lose_network(self) -> None:
        """Lose the network as a phone in a tunnel does: no close frame, and no reconnect until `find_network`."""
        self._may_connect.clear()
        self._losses += 1
        self._go_offline()
        self._attempt = 0
        if self._socket is not None:
            _reset(self._socket)

    def find_network(self) -> None:
        self._may_connect.set()

    def _run_until_closed(self) -> None:
        while not self._closed:
            while not self._may_connect.is_set():
                # The network may be lost again before this greenlet continues.
                self._may_connect.wait()
            self._losses_before = self._losses
            try:
                self._connect()
                self._read()
            except (OSError, WebSocketException, FrameError, Closed, Unreadable) as error:
                if self._ended(error):
                    return
            except Exception as error:  # noqa: BLE001 - anything else is a fault of the load test, which it must name
                self._break(error)
                return
            finally:
                self._release()
            if self._may_connect.is_set():
                gevent.sleep(self._delay())

    def _break(self, error: Exception) -> None:
        """Record that the load test's own code failed. No later event counts as lost: it was not read."""
        logger.error("%s: the load test's own code failed", self.name, exc_info=error)
        self._run.broke(error)
        self._closed = True
        self._leave_ledger(has_failed=True)

    def _leave_ledger(self, *, has_failed: bool = False) -> None:
        if self._ledger is None or self._ledger.is_closed:
            return
        now = self._run.clock()
        (self._ledger.failed if has_failed else self._ledger.left)(now)
        if self._page is not None:
            self._run.accounts.audience.left(self._page, now)

    @property
    def _has_lost_network(self) -> bool:
        """Whether the network was lost since the newest attempt to connect began, even if it is back."""
        return self._losses != self._losses_before

    def _ended(self, error: Exception) -> bool:
        """Return whether the socket is closed for good. A close that was not planned is a failure in Locust's list."""
        if self._closed or self._has_lost_network:
            return self._closed
        if isinstance(error, Closed) and error.code in PLANNED:
            self._go_offline()
        else:
            self._run.failed("WS", f"{self.name} {'lost' if self._socket else 'handshake'}", error)
        return isinstance(error, Closed) and error.final

    def _go_offline(self) -> None:
        if self._ledger is not None:
            self._ledger.is_offline = True

    def _delay(self) -> float:
        """Return the delay of the reconnect: backoff with full jitter, or the delay that a draining node requested."""
        attempt, self._attempt = self._attempt, self._attempt + 1
        hint, self._drain_seconds = self._drain_seconds, None
        if hint is not None:
            return hint + random.random() * longest_delay(0)  # noqa: S311 - jitter, no secret
        return random.random() * longest_delay(attempt)  # noqa: S311 - jitter, no secret

    def _connect(self) -> None:
        self.started = self._run.clock()
        began = time.perf_counter()
        self._socket = None
        at = f"{STREAM}:{self._position_text}" if self._position_text else ""
        opened = open_websocket(
            socket_url(self._origin, self.path, at=at, addresses=self._run.addresses, turn=next(_turns)),
            timeout_seconds=HANDSHAKE_SECONDS,
            sslopt={"ca_certs": self._run.authority} if self._run.authority else None,
            origin=self._origin,
            cookie=self._cookie,
            enable_multithread=False,
            skip_utf8_validation=True,
            sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            http_no_proxy=["*"],
        )
        if self._closed or self._has_lost_network:
            # The handshake was under way when the network was lost or the page was left.
            _reset(opened)
            opened.shutdown()  # type: ignore[no-untyped-call] # websocket-client has no types
            raise Closed(1006)
        self._socket = opened
        self._run.paths[self.name] += 1
        self._run.measured("WS", figures.HANDSHAKE, time.perf_counter() - began, what=f"handshake {self.name}")
        self._catching_up_to = self._run.accounts.furthest if self._subscribed else None
        self._subscription.begin()
        if self._ledger is not None:
            self._ledger.came_online(self._run.clock())

    def _read(self) -> None:
        assert self._socket is not None
        on_text = self._receive if self._damage is None else self._receive_planted
        self._reader = socket_reader(self._socket, on_text, idle_timeout_seconds=IDLE_TIMEOUT_SECONDS)
        self._reader.read()

    def heartbeat(self) -> None:
        """Send the client's own ping, because a browser cannot send the protocol's ping."""
        if self._socket is not None and self._pinged is None:
            self._pinged = time.perf_counter()
            with contextlib.suppress(OSError, WebSocketException):
                self._socket.send(PING)

    def _receive_planted(self, data: bytes) -> None:
        if self._damage is not None and not self._closed:
            self._damage.take(self._message(data), data)

    def _receive(self, data: bytes) -> None:
        if self._closed:
            # The page was left while the message was on its way, so the message is no longer due.
            return
        message = self._message(data)
        if message.offset is not None:
            self._stream_event(message, message.offset)
            return
        event, event_type = message.event, message.event_type
        if self._ledger is None and self._subscription.is_waiting and event_type not in NO_ANSWERS:
            self._subscription.end()
        if event_type == "pong":
            if self._pinged is not None:
                self._run.measured("WS", figures.HEARTBEAT, time.perf_counter() - self._pinged)
                self._pinged = None
        elif event_type == "drain":
            self._drain_seconds = float(event["reconnect_in_seconds"])
        elif event_type == "resumed":
            self._resumed(event)
        elif event_type in ("error", "stale"):
            self._run.failed("WS", f"{self.name} {event_type}", RuntimeError(str(event)))
        else:
            self._run.delivered(event_type)
            self._dispatch(event)

    def _resumed(self, event: dict[str, Any]) -> None:
        assert self._ledger is not None
        epoch, offset = parse_position(event["at"])
        when = f"at {self._run.second} s"
        self._ledger.resumed(epoch, offset, recovered=event["recovered"], when=when)
        self._run.accounts.publications.add(epoch, offset, self._run.clock())
        self._subscription.end()
        self._at, self._position_text = (epoch, offset), event["at"]
        self._subscribed = self._run.clock()
        self._caught_up(offset)

    def _stream_event(self, message: Message, offset: int) -> None:
        """Record a delivery. A run can have tens of thousands a second, so each line here costs the generator CPU."""
        if self._ledger is None or self._at is None or not self._subscribed:
            raise Unreadable(f"event {offset} came before the position of its socket")
        run, clocks, epoch = self._run, self._run.clocks, self._at[0]
        now = run.clock()
        if not message.is_published:
            run.first_received(epoch, message, now)
        clocks.arrived(message.stamped, now)
        published = message.stamped - clocks.ahead_seconds
        due = max(published, self._subscribed)
        self._ledger.received(offset, now - due if clocks.is_known else None)
        if offset >= self._at[1]:
            # An event out of order must not move the client back, because a resume would repeat the events after it.
            self._at, self._position_text = (epoch, offset), f"{epoch}{message.mark}:{offset}"
        second = int(now - run.started)
        run.figures.deliveries[message.event_type][second] += 1
        if self._page is not None:
            run.accounts.audience.read += 1
        # An event that was published before the socket subscribed is sent by a resume, and counts from the
        # subscription.
        if published >= self._subscribed:
            self._deliveries.add(second, now - published)
            if save := run.accounts.save_of(message.event):
                self._intended.add(second, now - save.intended)
        else:
            run.measured("EVENT", figures.REPLAY, now - self._subscribed)
        if self._catching_up_to is not None:
            self._caught_up(offset)
        if message.event_type in self._on and self._seen.is_new(message.event["id"]):
            self._dispatch(message.event)

    def _caught_up(self, offset: int) -> None:
        if self._catching_up_to is not None and offset >= self._catching_up_to:
            self._run.measured("WS", figures.RESUME, self._run.clock() - self.started)
            self._catching_up_to = None

    def _dispatch(self, event: dict[str, Any]) -> None:
        handler = self._on.get(event["type"])
        if handler is not None:
            handler(event)

    def _message(self, data: bytes) -> Message:
        try:
            return self._run.messages.of(data)
        except (ValueError, LookupError, TypeError) as error:
            raise Unreadable(f"unreadable message: {error!r}") from error

    def _is_late(self, data: bytes) -> bool:
        assert self._ledger is not None
        published = self._message(data).stamped - self._run.clocks.ahead_seconds
        return self._run.clock() - max(published, self._subscribed) > self._ledger.late_seconds

    def _release(self, *, polite: bool = False) -> None:
        opened, self._socket = self._socket, None
        if self._damage is not None:
            self._damage.give_up()
        self._subscription.end()
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        self._pinged = None
        if opened is None:
            return
        self._run.paths[self.name] -= 1
        with contextlib.suppress(OSError, WebSocketException):
            if polite:
                opened.send_close()
            opened.shutdown()  # type: ignore[no-untyped-call] # websocket-client has no types


def _reset(opened: WebSocket) -> None:
    """Cut the connection so that the reader here wakes at once and no orderly close reaches the server."""
    if opened.sock is not None:
        with contextlib.suppress(OSError):
            opened.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            opened.sock.shutdown(socket.SHUT_RDWR)
