"""The sockets of a node that have no room: resumed when they have some again, disconnected after too long."""

import asyncio
from collections.abc import Callable, Collection

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.fanout.connection import Connection, attempt

# A socket that was full waits this long at most once it has room; it is late already.
SLOW_CHECK_SECONDS = 0.05


class SlowConsumers:
    """Full sockets. `seconds` is the setting SLOW_CONSUMER_SECONDS; `resume` brings a connection up to date."""

    def __init__(
        self,
        connections: Collection[Connection],
        *,
        seconds: float,
        resume: Callable[[Connection], None],
        clock: Callable[[], float],
    ) -> None:
        self._connections = connections
        self._seconds = seconds
        self._resume = resume
        self._clock = clock
        self._full: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._full)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that are buffered on this node for slow sockets."""
        return sum(connection.writer.backlog for connection in self._full)

    def add(self, connection: Connection) -> None:
        """Watch a connection, which has no room."""
        self._full.add(connection)

    def discard(self, connection: Connection) -> None:
        """Watch a connection no longer."""
        self._full.discard(connection)

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await asyncio.sleep(SLOW_CHECK_SECONDS)
            for connection in list(self._full):
                self._check(connection)
            metrics.BACKLOG_BYTES.set(self.backlog_bytes)

    def _check(self, connection: Connection) -> None:
        if connection not in self._connections:
            self._full.discard(connection)
        elif connection.has_room_again():
            self._full.discard(connection)
            self._resume(connection)
        elif self._clock() - (connection.full_since or 0.0) > self._seconds:
            self._full.discard(connection)
            # Ended here, with its reason: the aborted transport will report 1006.
            connection.end(CloseCode.SLOW)
            attempt(connection.close, CloseCode.SLOW)
            attempt(connection.writer.abort)
            metrics.SLOW_CLOSES.labels(connection.consumer).inc()
