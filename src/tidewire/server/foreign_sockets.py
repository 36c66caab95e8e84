"""Sockets of applications that are no live consumers: their metrics, the bound on their backlog, and their drain.

Such a socket has a protocol of its own, so the server adds nothing to it: no message, no limit on messages, and only
close codes of the WebSocket protocol.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.fanout.connection import attempt

# RFC 6455's registry: the service is restarted; try again later.
RESTART = 1012
TRY_AGAIN_LATER = 1013
# A socket that nothing has named: plain ASGI, or a consumer behind a middleware that cannot be looked into.
UNNAMED = "other"
ROOM_CHECK_SECONDS = 0.05
# A message that cannot wait is buffered up to this multiple of the bound: 4 MB, as a page of history may be large.
MAX_BACKLOG_FACTOR = 16


class Served(Protocol):
    """The parts of the server's protocol that a socket needs."""

    @property
    def backlog(self) -> int: ...

    def close_at_once(self, code: int) -> None: ...

    def close_by_server(self, code: int) -> None: ...


class ForeignSocket:
    """A socket. `consumer` is the name of the class that serves it, `tasks` are its own tasks."""

    __slots__ = (
        "_cleanups",
        "_close_code",
        "_opened_at",
        "_protocol",
        "_result",
        "application_ended",
        "consumer",
        "draining",
        "full_since",
        "is_closed",
        "tasks",
    )

    def __init__(self, protocol: Served) -> None:
        self._protocol = protocol
        self.consumer = UNNAMED
        self.tasks: tuple[asyncio.Future[Any], ...] = ()
        self.draining = self.is_closed = self.application_ended = False
        self.full_since: float | None = None
        self._opened_at: float | None = None
        self._result = "failed"
        self._close_code: int | None = None
        self._cleanups: tuple[Callable[[], object], ...] = ()

    def add_cleanup(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the socket is closed; at once if it is closed already."""
        if self.is_closed:
            attempt(callback)
        else:
            self._cleanups = (*self._cleanups, callback)

    def rejected(self) -> None:
        """Count a handshake that the application refuses."""
        self._result = "rejected"

    def opened(self) -> None:
        """Count an accepted handshake. A draining server closes the socket at once."""
        self._opened_at = time.monotonic()
        metrics.CONNECTS.labels(self.consumer, "accepted").inc()
        metrics.CONNECTIONS.labels(self.consumer).inc()
        if self.draining:
            self._protocol.close_by_server(RESTART)

    def closing(self, code: int | None) -> None:
        """Remember the code with which the application closes the socket."""
        self._close_code = code

    def closed(self, code: int) -> None:
        """Count the end of the socket, or of its handshake."""
        self.is_closed = True
        cleanups, self._cleanups = self._cleanups, ()
        for callback in cleanups:
            attempt(callback)
        if self._opened_at is None:
            metrics.CONNECTS.labels(self.consumer, self._result).inc()
            return
        metrics.CONNECTIONS.labels(self.consumer).dec()
        metrics.CONNECTION_SECONDS.labels(self.consumer).observe(time.monotonic() - self._opened_at)
        own = self._close_code is not None and code == self._close_code
        metrics.CLOSES.labels(self.consumer, metrics.foreign_close_label(code, own=own)).inc()

    def write(self, _frame: object) -> None:
        """Send nothing: a message of tidewire would be a foreign one here. Called by a drain."""

    def close(self, _code: CloseCode) -> None:
        """Close the socket for a drain; during its handshake, once it is accepted."""
        self.draining = True
        if self._opened_at is not None:
            self._protocol.close_by_server(RESTART)

    def fits(self, size: int, limit: int) -> bool:
        """Return whether a message of this size can be buffered now: any if nothing waits, or if it will be dropped."""
        if self.is_closed:
            return True
        backlog = self._protocol.backlog
        return not backlog or backlog + size <= limit

    def cut(self) -> None:
        """Disconnect a client that does not read."""
        metrics.SLOW_CLOSES.labels(self.consumer).inc()
        self._protocol.close_at_once(TRY_AGAIN_LATER)


class ForeignSockets:
    """All foreign sockets of a server, from the handshake until they are closed and their application has ended.

    `limit_bytes` and `slow_seconds` bound what may be buffered for a client that reads slowly.
    """

    def __init__(self, *, limit_bytes: int, slow_seconds: float) -> None:
        self._limit = limit_bytes
        self._seconds = slow_seconds
        self.sockets: set[ForeignSocket] = set()
        self._slow: set[ForeignSocket] = set()
        self._watching: asyncio.Task[None] | None = None

    def add(self, protocol: Served) -> ForeignSocket:
        """Return a new socket, of a handshake."""
        socket = ForeignSocket(protocol)
        self.sockets.add(socket)
        return socket

    def discard(self, socket: ForeignSocket) -> None:
        """Forget a socket: it is a live consumer's, which has metrics and a drain of its own."""
        self.sockets.discard(socket)
        self._slow.discard(socket)

    def application_ended(self, socket: ForeignSocket) -> None:
        """Note that the application has returned, after its `disconnect` handler if the socket was closed."""
        socket.application_ended = True
        if socket.is_closed:
            self.discard(socket)

    def closed(self, socket: ForeignSocket, code: int) -> None:
        """Note that the socket is closed. Its `disconnect` handler may still run."""
        socket.closed(code)
        if socket.application_ended:
            self.discard(socket)

    def has_room(self, socket: ForeignSocket, size: int) -> bool:
        """Return whether a message can be buffered now."""
        return socket.fits(size, self._limit)

    async def wait_for_room(self, socket: ForeignSocket, size: int) -> bool:
        """Wait until a message fits. Returns False if the socket was disconnected, because its client does not read.

        Only the socket's own tasks wait: others could be a thread or a loop on which other sockets depend.
        """
        self._watch(socket)
        if asyncio.current_task() not in socket.tasks:
            if socket.fits(size, self._limit * MAX_BACKLOG_FACTOR):
                return True
            self._cut(socket)
            return False
        while socket in self._slow:
            await asyncio.sleep(ROOM_CHECK_SECONDS)
            if socket.fits(size, self._limit):
                return True
        return False

    def _watch(self, socket: ForeignSocket) -> None:
        if socket.full_since is None:
            socket.full_since = time.monotonic()
            self._slow.add(socket)
        if self._watching is None:
            # Without a slow client there is no task.
            self._watching = asyncio.ensure_future(self._watch_slow())

    async def _watch_slow(self) -> None:
        try:
            while self._slow:
                await asyncio.sleep(ROOM_CHECK_SECONDS)
                for socket in list(self._slow):
                    if socket.fits(self._limit // 2, self._limit):
                        socket.full_since = None
                        self._slow.discard(socket)
                    elif time.monotonic() - (socket.full_since or 0.0) > self._seconds:
                        self._cut(socket)
        finally:
            self._watching = None

    def _cut(self, socket: ForeignSocket) -> None:
        self._slow.discard(socket)
        socket.cut()
