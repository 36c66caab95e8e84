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
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.event import Event as Signal
from websocket import WebSocket, WebSocketException

from loadtest.clients.connect import open_websocket, reset, socket_url
from loadtest.clients.page_stream import PageStream
from loadtest.clients.planted_damage import PlantedDamage
from loadtest.clients.socket_readers import Closed, SocketReader, Unreadable, socket_reader
from loadtest.clients.subscription import NO_ANSWERS, Subscription
from loadtest.run import figures
from loadtest.run.message_cache import Message
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Ledger
from testkit.frame_parser import FrameError
from testkit.page_client import HANDSHAKE_SECONDS, PING, STREAM, SeenIds, longest_delay

# The interval of heartbeats, the time for an answer, and a margin.
IDLE_TIMEOUT_SECONDS = 45.0
# Close codes that the server plans and that are no failure: drained, session must be checked again.
PLANNED = (4000, 4005)
_turns = itertools.count()

logger = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any]], None]


class LiveSocket:
    """A socket on `path`. `ledger` and the position `at` are for the stream topic; `name` groups paths in figures.

    `client` is the account of a socket without a stream topic, if it has one.
    """

    idle_timeout_seconds = IDLE_TIMEOUT_SECONDS
    # Whether the server must answer a subscription.
    is_answered = True

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
        stream: str = STREAM,
        client: str = "",
    ) -> None:
        self.path = path
        self.name = name or path
        self.started = run.clock()
        self._run = run
        self._origin = origin
        self._cookie = cookie
        self._on = on or {}
        self._topic = stream
        self._stream = PageStream(run, ledger, at) if ledger is not None else None
        # The client of an account, or empty.
        self._client = ledger.client if ledger is not None else client
        self._seen = SeenIds()
        self._socket: WebSocket | None = None
        self._reader: SocketReader | None = None
        self._damage = (
            PlantedDamage(run, run.planted, self._client, receive=self._receive, is_late=self._is_late)
            if run.planted is not None and self._client
            else None
        )
        self._closed = False
        self._attempt = 0
        self._drain_seconds: float | None = None
        # The number of times that the network was lost: of this client, and before its newest attempt to connect.
        self._losses = self._losses_before = 0
        self._may_connect = Signal()
        if run.network:
            self._may_connect.set()
        self._pinged: float | None = None
        self._subscription = Subscription(run, self.name, self._client)
        self._greenlet = gevent.spawn(self._run_until_closed)

    def close(self) -> None:
        """Close for good without waiting, as when a user leaves the page."""
        if self._closed:
            return
        if self._damage is not None:
            self._damage.undo()
        self._closed = True
        if self._stream is not None:
            self._stream.left()
        self._release(polite=True)
        self._greenlet.kill(block=False)

    def lose_network(self) -> None:
        """Lose the network as a phone in a tunnel does: no close frame, and no reconnect until `find_network`."""
        self._may_connect.clear()
        self._losses += 1
        self._go_offline()
        self._attempt = 0
        if self._socket is not None:
            reset(self._socket)

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
        if self._stream is not None:
            self._stream.left(has_failed=True)

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
        if self._stream is not None:
            self._stream.ledger.is_offline = True

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
        position = self._stream.position_text if self._stream is not None else ""
        at = f"{self._topic}:{position}" if position else ""
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
            reset(opened)
            opened.shutdown()  # type: ignore[no-untyped-call] # websocket-client has no types
            raise Closed(1006)
        self._socket = opened
        self._run.paths[self.name] += 1
        self._run.measured("WS", figures.HANDSHAKE, time.perf_counter() - began, what=f"handshake {self.name}")
        if self.is_answered:
            self._subscription.begin()
        if self._stream is not None:
            self._stream.connected(self.started)

    def _read(self) -> None:
        assert self._socket is not None
        on_text = self._receive if self._damage is None else self._receive_planted
        self._reader = socket_reader(self._socket, on_text, idle_timeout_seconds=self.idle_timeout_seconds)
        self._reader.read()

    def heartbeat(self) -> None:
        """Send the client's own ping, because a browser cannot send the protocol's ping."""
        if self._socket is not None and self._pinged is None:
            self._pinged = time.perf_counter()
            with contextlib.suppress(OSError, WebSocketException):
                self._socket.send(PING)

    def _receive_planted(self, data: bytes) -> None:
        assert self._damage is not None
        if self._may_damage(data) and not self._closed:
            self._damage.take(data)
        else:
            self._receive(data)

    def _may_damage(self, data: bytes) -> bool:
        """Return whether a text is an event of the account."""
        message = self._message(data)
        if message.event_type == "resumed" and self._damage is not None:
            # A new position takes the place of all events before it.
            self._damage.give_up()
        return message.offset is not None

    def _receive(self, data: bytes) -> None:
        if self._closed:
            # The page was left while the message was on its way, so the message is no longer due.
            return
        message = self._message(data)
        if message.offset is not None:
            self._page_stream().received(message, message.offset)
            if message.event_type in self._on and self._seen.is_new(message.event["id"]):
                self._dispatch(message.event)
            return
        event, event_type = message.event, message.event_type
        if self._stream is None and self._subscription.is_waiting and event_type not in NO_ANSWERS:
            self._subscription.end()
        if event_type == "pong":
            if self._pinged is not None:
                self._run.measured("WS", figures.HEARTBEAT, time.perf_counter() - self._pinged)
                self._pinged = None
        elif event_type == "drain":
            self._drain_seconds = float(event["reconnect_in_seconds"])
        elif event_type == "resumed":
            self._page_stream().resumed(event)
            self._subscription.end()
        elif event_type in ("error", "stale"):
            self._run.failed("WS", f"{self.name} {event_type}", RuntimeError(str(event)))
        else:
            self._run.delivered(event_type)
            self._dispatch(event)

    def _page_stream(self) -> PageStream:
        if self._stream is None:
            raise Unreadable("an event of a stream came to a socket without a position")
        return self._stream

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
        return self._page_stream().is_late(self._message(data))

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
