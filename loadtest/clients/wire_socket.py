"""A live socket of a product without a history: each connection is a stay in the wire's room, with its own account."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import Any

from websocket import WebSocketException

from loadtest.clients.live_socket import LiveSocket
from loadtest.clients.socket_readers import Unreadable
from loadtest.clients.wires import Wire
from loadtest.run import figures
from loadtest.run.rooms import GRACE_SECONDS, Numbered, Series, Stay
from loadtest.run.run_state import Run

# A day: silence is no loss of the connection, because a server without pings may have nothing to send.
SILENCE_SECONDS = 86400.0
MESSAGE, OTHER = "message", "other text"


class WireSocket(LiveSocket):
    """A socket on `path`. `client` is the user's name; a user may have several sockets."""

    idle_timeout_seconds = SILENCE_SECONDS
    is_answered = False

    def __init__(
        self, run: Run, origin: str, path: str, wire: Wire, *, cookie: str, client: str, name: str = ""
    ) -> None:
        self._wire = wire
        self._stay: Stay | None = None
        self._sender = ""
        self._numbers = itertools.count(1)
        self._deliveries = run.meter("EVENT", figures.DELIVERY)
        super().__init__(run, origin, path, cookie=cookie, name=name, client=client)

    def publish(self, **fields: Any) -> bool:
        """Send the user's next message. Return False without a connection, or if the run only waits for due messages.

        Each connection is another sender, because the end of a lost connection is unknown.
        """
        if self._socket is None or self._stay is None or not self._run.is_working:
            return False
        number, now = next(self._numbers), self._run.clock()
        text = self._wire.write(self._sender, number, now, **fields)
        with contextlib.suppress(OSError, WebSocketException):
            self._socket.send(text)
            if self._sender:
                self._run.accounts.rooms.sent(Series(self._wire.room, self._sender), number, now)
            return True
        return False

    def heartbeat(self) -> None:
        if self._socket is not None and self._wire.ping:
            with contextlib.suppress(OSError, WebSocketException):
                self._socket.send(self._wire.ping)

    def _connect(self) -> None:
        super()._connect()
        assert self._socket is not None
        rooms = self._run.accounts.rooms
        self._sender = "" if self._wire.is_numbered_by_server else rooms.new_sender(self._client)
        self._numbers = itertools.count(1)
        for text in self._wire.first:
            self._socket.send(text)
        self._stay = rooms.enter(self._client, self._wire.room, self._run.clock())

    def _may_damage(self, data: bytes) -> bool:
        return self._numbered(data) is not None

    def _is_late(self, data: bytes) -> bool:
        message, run = self._numbered(data), self._run
        sent = message.sent if message is not None else None
        return sent is not None and run.clock() - sent > run.accounts.rooms.late_seconds

    def _numbered(self, data: bytes) -> Numbered | None:
        try:
            message = self._wire.read(data)
            is_possible = message is None or (message.number >= 1 and math.isfinite(message.sent or 0.0))
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise Unreadable(f"unreadable message: {error!r}") from error
        if not is_possible:
            raise Unreadable(f"unreadable message: a number below 1, or no time: {message}")
        return message

    def _receive(self, data: bytes) -> None:
        if self._closed or self._stay is None:
            return
        run = self._run
        message = self._numbered(data)
        if message is None:
            run.delivered(OTHER)
            return
        now = run.clock()
        run.delivered(MESSAGE)
        run.accounts.rooms.received(self._stay, message, now)
        if message.sent is not None:
            self._deliveries.add(int(now - run.started), now - message.sent)

    def _release(self, *, polite: bool = False) -> None:
        if self._damage is not None:
            # No later connection receives the messages that a planted fault still holds.
            self._damage.undo()
        stay, self._stay = self._stay, None
        if stay is not None:
            stay.until = self._run.clock()
            if not polite and self._sender and self._has_lost_network:
                # The server may not have received the newest messages of this client.
                series = Series(self._wire.room, self._sender)
                self._run.accounts.rooms.withdraw(series, stay.until - GRACE_SECONDS)
        super()._release(polite=polite)
