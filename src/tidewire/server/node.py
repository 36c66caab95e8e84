"""A ws process as a node: its hub, presence and connections, the tasks that serve them, and hooks for features."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from channels.layers import BaseChannelLayer

from tidewire import key_fingerprint, metrics
from tidewire.asgi import ABNORMAL_CLOSURE
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.events import Stale, StreamEvent
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS
from tidewire.fanout.batched_reads import BatchedPresence, BatchedStreams
from tidewire.fanout.connection import Connection, Writer, attempt
from tidewire.fanout.frames import frame_event
from tidewire.fanout.hub import Hub
from tidewire.presence import Presence
from tidewire.presence.node import NodePresence
from tidewire.publishing.announcer import Announcer
from tidewire.publishing.direct import publish_now
from tidewire.server.drain import Drainer
from tidewire.server.slow_consumers import SlowConsumers
from tidewire.server.supervision import supervise, watch_lag
from tidewire.streams import Appended, Streams
from tidewire.tasks import cancel_all

logger = logging.getLogger(__name__)

# Redis may be unavailable when a node stops; the expiry of the lease then has the same effect a little later.
HAND_OVER_SECONDS = 2.0
# Time for each feature after a drain; the process must then exit.
DRAINED_SECONDS = 2.0


class Feature:
    """A part that another package adds to each node by `current_node.register`. Subclasses override its hooks.

    An exception of a feature is logged, and the node goes on with the other features.
    """

    def __init__(self, node: "Node") -> None:
        self.node = node

    def on_data_loss(self) -> None:
        """Called if Redis has lost writes, or was unavailable and may have lost some."""

    def on_serve(self, drainer: Drainer, start_drain: Callable[[], None]) -> None:
        """Called when a server that can drain has started to serve the node."""

    async def on_drained(self) -> None:
        """Called after a drain, when the tasks of the node have ended."""


F = TypeVar("F", bound=Feature)
FeatureFactory = Callable[["Node"], Feature]


class Node:
    """The state of one ws process. `connections` are the sockets that it serves; `clock` returns seconds."""

    def __init__(
        self,
        settings: Settings,
        *,
        layer: BaseChannelLayer,
        presence_store: Presence,
        streams: Streams,
        features: Iterable[FeatureFactory],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.name = settings.NODE_NAME
        self.clock = clock
        self.connections: set[Connection] = set()
        self._by_user: Counter[str] = Counter()
        self._families: set[str] = set()
        # True from the first renewal of the lease.
        self.reached_redis = False
        self._layer = layer
        self.presence_store = presence_store
        self.streams = streams
        self._features: dict[type[Feature], Feature] = {}
        self.hub = Hub(
            layer,
            BatchedPresence(presence_store),
            BatchedStreams(streams),
            prefix=settings.PREFIX,
            coalesce_seconds=settings.COALESCE_SECONDS,
            check_seconds=settings.CHECK_SECONDS,
            on_stale=self._on_stale,
            on_reconnect=self._on_data_loss,
        )
        self._announcer = Announcer(
            layer, prefix=settings.PREFIX, coalesce_seconds=settings.COALESCE_SECONDS, on_change=self.hub.refresh
        )
        self.presence = NodePresence(
            presence_store,
            node=key_fingerprint.named(self.name),
            touch_seconds=settings.TOUCH_SECONDS,
            announce=self.announce,
            # Of all writes of a node, only the touch of its lease is certain to occur every second.
            on_write_health=self._on_write_health,
            on_data_loss=self._on_data_loss,
        )
        self.slow_consumers = SlowConsumers(
            self.connections,
            seconds=settings.SLOW_CONSUMER_SECONDS,
            resume=self.hub.catch_up_all,
            clock=clock,
        )
        metrics.CONNECTIONS_LIMIT.set(settings.CONNECTIONS_PER_NODE)
        self._tasks: list[asyncio.Task[None]] = []
        for name, run in (
            ("receiving", self.hub.run_receiving),
            ("checking", self.hub.run_checking),
            ("presence", self.presence.run),
            ("slow", self.slow_consumers.run),
            ("lag", watch_lag),
        ):
            self.start_task(name, run)
        for create in features:
            attempt(self._start_feature, create)

    def _start_feature(self, create: FeatureFactory) -> None:
        # Another feature may have needed it, and started it.
        if create not in self._features:
            feature = create(self)
            self._features[type(feature)] = feature

    def feature(self, kind: type[F]) -> F:
        """Return this node's feature of a class, started if necessary: its module may have been imported later."""
        feature = self._features.get(kind)
        if feature is None:
            feature = self._features[kind] = kind(self)
        assert isinstance(feature, kind)
        return feature

    def serve(self, drainer: Drainer, start_drain: Callable[[], None]) -> None:
        """Notify the features that a server which can drain serves this node."""
        for feature in list(self._features.values()):
            attempt(feature.on_serve, drainer, start_drain)

    async def finish(self) -> None:
        """Notify the features that the node is drained."""
        for feature in list(self._features.values()):
            try:
                async with asyncio.timeout(DRAINED_SECONDS):
                    await feature.on_drained()
            except Exception:
                logger.exception("%s.on_drained failed; continuing with the other features", type(feature).__name__)

    async def publish(self, event: StreamEvent) -> Appended:
        """Publish an event at once. Raises `RedisUnavailable`."""
        return await publish_now(event, streams=self.streams, layer=self._layer, prefix=self.settings.PREFIX)

    async def announce(self, topics: set[str]) -> None:
        """Notify all nodes that state topics have changed."""
        await self._announcer.announce(topics)

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
            on_full=self.slow_consumers.add,
            clock=self.clock,
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
        attempt(self.slow_consumers.discard, connection)
        attempt(self._decrement_user, connection.user)
        attempt(_decrement_connections, connection.consumer)
        attempt(self.hub.unsubscribe_all, connection)
        attempt(_observe_duration, connection)

    def _decrement_user(self, user: str) -> None:
        self._by_user[user] -= 1
        if self._by_user[user] <= 0:
            del self._by_user[user]

    @property
    def users(self) -> int:
        """The number of distinct users with sockets on this node."""
        return len(self._by_user)

    def start_task(self, name: str, run: Callable[[], Awaitable[Any]]) -> None:
        """Run another task of this node, which ends with it."""
        self._tasks.append(asyncio.create_task(supervise(name, run), name=name))

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
        members = self.presence.families()
        # A family without members must be exported as 0, not with its last value.
        self._families.update(members)
        for family in self._families:
            metrics.PRESENCE_MEMBERS.labels(family).set(members[family])
        metrics.SLOW_CONNECTIONS.set(len(self.slow_consumers))

    def _on_write_health(self, healthy: bool) -> None:
        self.reached_redis = self.reached_redis or healthy
        self.hub.set_redis_health("writes", healthy=healthy)

    def _on_data_loss(self) -> None:
        for feature in list(self._features.values()):
            attempt(feature.on_data_loss)

    def _on_stale(self, stale: bool) -> None:
        frame = frame_event(Stale(stale=stale))
        for connection in list(self.connections):
            attempt(connection.write, frame)


def _decrement_connections(consumer: str) -> None:
    metrics.CONNECTIONS.labels(consumer).dec()


def _observe_duration(connection: Connection) -> None:
    metrics.CONNECTION_SECONDS.labels(connection.consumer).observe(connection.clock() - connection.opened_at)
