"""This process as a node: its hub, presence and connections, and the tasks that serve them.

There is one node per event loop, started at its first use, because Daphne has no ASGI lifespan.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakKeyDictionary

from tidewire import metrics
from tidewire.asgi import ABNORMAL_CLOSURE
from tidewire.auth import stamps
from tidewire.auth.revocation import Revocations
from tidewire.auth.session_watch import SessionWatch
from tidewire.auth.stamps import RedisClock
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings, settings
from tidewire.contrib.edit_lease.node import NodeEditLeases
from tidewire.contrib.edit_lease.redis import edit_lease_store
from tidewire.events import Stale
from tidewire.fanout.batched_reads import BatchedPresence, BatchedStreams
from tidewire.fanout.connection import Connection, Writer, attempt
from tidewire.fanout.frames import frame_event
from tidewire.fanout.hub import REDIS_UNAVAILABLE_ERRORS, Hub
from tidewire.layers import require_layer
from tidewire.presence.node import NodePresence
from tidewire.presence.redis import presence_store
from tidewire.publishing.direct import Announcer, publish_now
from tidewire.redis.backoff import Backoff
from tidewire.streams.redis import stream_store
from tidewire.tasks import cancel_all

logger = logging.getLogger(__name__)

# A task that always fails at once must not fill the log, and a task that waits for Redis should return soon after it.
RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 3.0
LAG_SECONDS = 0.5
# A socket that was full waits this long at most once it has room; it is late already.
SLOW_CHECK_SECONDS = 0.05
# Redis may be unavailable when a node stops; the expiry of the lease then has the same effect a little later.
HAND_OVER_SECONDS = 2.0

_nodes: "WeakKeyDictionary[asyncio.AbstractEventLoop, Node]" = WeakKeyDictionary()


class Node:
    """The state of one ws process. `connections` are the sockets that it serves."""

    def __init__(self, settings: Settings) -> None:
        layer = require_layer(settings.CHANNEL_LAYER)
        self.settings = settings
        self.name = settings.NODE_NAME
        self.connections: set[Connection] = set()
        self._by_user: Counter[str] = Counter()
        self._full: set[Connection] = set()
        self._families: set[str] = set()
        self.presence_store = presence_store()
        self.edit_lease_store = edit_lease_store()
        streams = stream_store()
        self.hub = Hub(
            layer,
            BatchedPresence(self.presence_store),
            BatchedStreams(streams),
            prefix=settings.PREFIX,
            coalesce_seconds=settings.COALESCE_SECONDS,
            check_seconds=settings.CHECK_SECONDS,
        )
        self.redis_clock = RedisClock()
        self.revocations = Revocations(
            self.hub,
            lambda: self.connections,
            clock=self.redis_clock,
            publish=lambda event: publish_now(event, streams=streams, layer=layer, prefix=settings.PREFIX),
        )
        self.revocations.follow()
        self.sessions = SessionWatch(
            lambda: self.connections,
            seconds=settings.SESSION_CHECK_SECONDS,
            on_end=self.revocations.end_session,
            is_current=self.revocations.is_current,
        )
        self.revocations.on_data_loss = self.sessions.check_now  # type: ignore[method-assign]  # a hook
        self.hub.on_stale = self._on_stale  # type: ignore[method-assign]  # a hook
        announcer = Announcer(
            layer, prefix=settings.PREFIX, coalesce_seconds=settings.COALESCE_SECONDS, on_change=self.hub.refresh
        )
        self.presence = NodePresence(
            self.presence_store, node=self.name, touch_seconds=settings.TOUCH_SECONDS, announce=announcer.announce
        )
        # Of all writes of a node, only the touch of its lease is certain to occur every second.
        self.presence.on_write_health = self._on_write_health  # type: ignore[method-assign]  # a hook
        # A Redis that lost this node's writes, or was unavailable, may have lost revocations as well.
        self.presence.on_data_loss = self.sessions.check_now  # type: ignore[method-assign]  # a hook
        self.hub.on_reconnect = self.sessions.check_now  # type: ignore[method-assign]  # a hook
        self.edit_leases = NodeEditLeases(
            self.edit_lease_store, touch_seconds=settings.TOUCH_SECONDS, announce=announcer.announce
        )
        metrics.CONNECTIONS_LIMIT.set(settings.CONNECTIONS_PER_NODE)
        self._tasks = [
            asyncio.create_task(_supervise(name, run), name=name)
            for name, run in (
                ("receiving", self.hub.run_receiving),
                ("checking", self.hub.run_checking),
                ("presence", self.presence.run),
                ("edit leases", self.edit_leases.run),
                ("slow", self._watch_slow),
                ("lag", _watch_lag),
                ("sessions", self.sessions.run),
                ("redis clock", lambda: stamps.follow(self.redis_clock, streams.stamp)),
            )
        ]

    def connect(
        self,
        writer: Writer,
        *,
        consumer: str,
        user: str,
        session: str,
        close: Callable[[CloseCode], None],
        session_key: str = "",
    ) -> Connection:
        """Register an accepted socket. Without a `session_key` it is closed at intervals, to be authenticated again.

        `Connection.end` unregisters it; a server's writer calls `end` when the transport is lost.
        """
        connection = Connection(
            writer,
            consumer=consumer,
            user=user,
            session=session,
            session_key=session_key,
            limit=self.settings.MAX_BACKLOG_BYTES,
            close=close,
            on_full=self._full.add,
        )
        self.connections.add(connection)
        self._by_user[user] += 1
        metrics.CONNECTIONS.labels(consumer).inc()
        connection.add_cleanup(self._release, connection)
        try:
            # A server's writer ends the connection when the transport is lost, or at once if it is lost already.
            bind = getattr(writer, "bind", None)
            if bind is not None:
                bind(connection)
            if self.hub.stale:
                connection.write(frame_event(Stale(stale=True)))
        except BaseException:
            connection.end(ABNORMAL_CLOSURE)
            raise
        return connection

    def exceeded_limit(self, user: str) -> CloseCode | None:
        """Return the close code if another socket of a user would exceed a limit, else None."""
        if len(self.connections) >= self.settings.CONNECTIONS_PER_NODE:
            return CloseCode.BUSY
        if self._by_user[user] >= self.settings.CONNECTIONS_PER_USER:
            return CloseCode.TOO_MANY
        return None

    def disconnect(self, connection: Connection, code: int = ABNORMAL_CLOSURE) -> None:
        """Unregister a closed socket."""
        connection.end(code)

    def _release(self, connection: Connection) -> None:
        attempt(self.connections.discard, connection)
        attempt(self._full.discard, connection)
        attempt(self._decrement_user, connection.user)
        attempt(_decrement_connections, connection.consumer)
        for subscription in connection.subscriptions:
            attempt(self.hub.unsubscribe, subscription)
        attempt(_observe_duration, connection)

    def _decrement_user(self, user: str) -> None:
        self._by_user[user] -= 1
        if self._by_user[user] <= 0:
            del self._by_user[user]

    @property
    def users(self) -> int:
        """The number of distinct users with sockets on this node."""
        return len(self._by_user)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that are buffered on this node for slow sockets."""
        return sum(connection.writer.backlog for connection in self._full)

    def start_task(self, name: str, run: Callable[[], Awaitable[Any]]) -> None:
        """Run another task of this node, which ends with it."""
        self._tasks.append(asyncio.create_task(_supervise(name, run), name=name))

    async def stop(self) -> None:
        """End the tasks and hand over presence."""
        # Ended first, because a pending update of presence could otherwise arrive after the handover.
        await cancel_all(self._tasks)
        await self.hub.stop()
        try:
            await asyncio.wait_for(self.presence.hand_over(), HAND_OVER_SECONDS)
        except REDIS_UNAVAILABLE_ERRORS as error:
            logger.warning("presence was not handed over: %s", error)

    def update_metrics(self) -> None:
        """Set the metrics that are computed only when scraped."""
        held = self.presence.families()
        # A family without members must be exported as 0, not with its last value.
        self._families.update(held)
        for family in self._families:
            metrics.PRESENCE_MEMBERS.labels(family).set(held[family])
        metrics.SLOW_CONNECTIONS.set(len(self._full))

    def _on_write_health(self, healthy: bool) -> None:
        self.hub.set_redis_health("writes", healthy=healthy)

    def _on_stale(self, stale: bool) -> None:
        frame = frame_event(Stale(stale=stale))
        for connection in list(self.connections):
            attempt(connection.write, frame)

    async def _watch_slow(self) -> None:
        """Resume the sockets that have room again, and abort those that have been full for too long."""
        while True:
            await asyncio.sleep(SLOW_CHECK_SECONDS)
            for connection in list(self._full):
                if connection not in self.connections:
                    self._full.discard(connection)
                elif connection.has_room_again():
                    self._full.discard(connection)
                    for subscription in connection.subscriptions:
                        self.hub.catch_up(subscription)
                elif time.monotonic() - (connection.full_since or 0.0) > self.settings.SLOW_CONSUMER_SECONDS:
                    self._full.discard(connection)
                    attempt(connection.close, CloseCode.SLOW)
                    attempt(connection.writer.abort)
                    metrics.SLOW_CLOSES.labels(connection.consumer).inc()
            metrics.BACKLOG_BYTES.set(self.backlog_bytes)


def node() -> Node:
    """Return the node of the running loop, started if necessary."""
    loop = asyncio.get_running_loop()
    if loop not in _nodes:
        _nodes[loop] = Node(settings())
    return _nodes[loop]


def _decrement_connections(consumer: str) -> None:
    metrics.CONNECTIONS.labels(consumer).dec()


def _observe_duration(connection: Connection) -> None:
    metrics.CONNECTION_SECONDS.labels(connection.consumer).observe(time.monotonic() - connection.opened_at)


async def _supervise(name: str, run: Callable[[], Awaitable[Any]]) -> None:
    """Run a task for ever: an exception is logged and counted, and the task starts again."""
    backoff = Backoff(RESTART_SECONDS, LONGEST_RESTART_SECONDS)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await run()
        except REDIS_UNAVAILABLE_ERRORS as error:
            logger.warning("%s waits for Redis: %s", name, error)
        except Exception:
            logger.exception("task %s failed; restarting it", name)
            metrics.TASK_RESTARTS.labels(name).inc()
        if loop.time() - began > LONGEST_RESTART_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_delay())


async def _watch_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG_SECONDS.observe(max(loop.time() - due, 0.0))
        metrics.ASYNCIO_TASKS.set(len(asyncio.all_tasks(loop)))
