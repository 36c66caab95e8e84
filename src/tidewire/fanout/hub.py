"""The hub: the only member of every group in this process, and the feeds that it keeps up to date.

The hub receives an event once, whatever the number of sockets. Hints may be lost, so positions are compared every
second.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Literal

from channels.layers import BaseChannelLayer

from tidewire import metrics
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS, MalformedHint
from tidewire.fanout.connection import Connection, attempt
from tidewire.fanout.feed import Feed
from tidewire.fanout.feed_loop import FeedLoop
from tidewire.fanout.groups import Groups
from tidewire.fanout.positions import Positions
from tidewire.fanout.state_feed import StateFeed
from tidewire.fanout.stream_feed import StreamFeed
from tidewire.fanout.subscription import Subscription
from tidewire.hints import Hint
from tidewire.presence import Presence
from tidewire.redis.backoff import Backoff
from tidewire.redis.connections import reconnects
from tidewire.streams import StreamReads
from tidewire.tasks import cancel_all
from tidewire.topics import StateTopic, Topic

logger = logging.getLogger(__name__)

# For a connection that needs only new events.
NO_POSITIONS = Positions()
# While Redis is unavailable the delay between checks grows to this, within which a recovery is detected.
LONGEST_CHECK_SECONDS = 3.0
# Number of feeds that are read concurrently. Their reads are batched and leave connections free for presence.
CONCURRENT_READS = 256
# Number of positions compared in one call, which takes a few milliseconds of the event loop.
POSITIONS_PER_CHECK = 500


class Hub:
    """Feeds by topic, and the subscriptions of each connection. All methods except `run_*` never wait for Redis.

    `on_stale` is called when Redis becomes unavailable or available again, `on_reconnect` after connections to Redis
    were lost and made again, maybe to another server.
    """

    def __init__(
        self,
        layer: BaseChannelLayer,
        presence: Presence,
        streams: StreamReads,
        *,
        prefix: str,
        coalesce_seconds: float,
        check_seconds: float,
        on_stale: Callable[[bool], None],
        on_reconnect: Callable[[], None],
    ) -> None:
        self._presence = presence
        self._streams = streams
        self._coalesce_seconds = coalesce_seconds
        self._check_seconds = check_seconds
        self._on_stale = on_stale
        self._on_reconnect = on_reconnect
        self._groups = Groups(layer, prefix=prefix)
        self._loops: dict[str, FeedLoop] = {}
        self._subscriptions: dict[Connection, list[Subscription]] = {}
        self._reads = asyncio.Semaphore(CONCURRENT_READS)
        # Operations that Redis currently fails, reads or writes. Either makes this node's sockets stale.
        self._failing: set[Literal["reads", "writes"]] = set()
        self.stale = False

    def subscribe(self, topic: Topic, connection: Connection, at: Positions = NO_POSITIONS) -> Subscription:
        """Subscribe a connection to a topic, once. Events that are due are delivered as soon as they are known.

        Raises `ValueError` if the name belongs to a topic of the other kind.
        """
        subscriptions = self._subscriptions.get(connection, ())
        subscribed = next((each for each in subscriptions if each.topic == topic.name), None)
        if subscribed is not None:
            return subscribed
        loop = self._loop_of(topic)
        loop.empty_since = None
        subscription = loop.feed.add(connection, at.of(topic.name))
        self._subscriptions.setdefault(connection, []).append(subscription)
        metrics.SUBSCRIPTIONS.labels(loop.feed.family).inc()
        loop.feed.catch_up(subscription)
        # The topic may have had work while it was unused.
        loop.schedule()
        if connection.code is not None:
            # The socket is closed already, so its own end can no longer unsubscribe it.
            self.unsubscribe(subscription)
        return subscription

    def _loop_of(self, topic: Topic) -> FeedLoop:
        loop = self._loops.get(topic.name)
        if loop is None:
            feed: Feed = (
                StateFeed(topic, self._presence, self._schedule)
                if isinstance(topic, StateTopic)
                else StreamFeed(topic, self._streams, self._schedule)
            )
            loop = self._loops[topic.name] = FeedLoop(
                feed, groups=self._groups, reads=self._reads, coalesce_seconds=self._coalesce_seconds
            )
        elif isinstance(loop.feed, StateFeed) != isinstance(topic, StateTopic):
            raise ValueError(f"topic {topic.name!r} is a state topic and a stream topic: give one another name")
        return loop

    def unsubscribe(self, subscription: Subscription) -> None:
        """Unsubscribe a connection from a topic."""
        subscriptions = self._subscriptions.get(subscription.connection, [])
        if subscription not in subscriptions:
            return
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[subscription.connection]
        loop = self._loops[subscription.topic]
        del loop.feed.subscriptions[subscription]
        metrics.SUBSCRIPTIONS.labels(loop.feed.family).dec()
        if not loop.feed.subscriptions:
            loop.empty_since = asyncio.get_running_loop().time()

    def unsubscribe_all(self, connection: Connection) -> None:
        """Unsubscribe a connection from all its topics."""
        for subscription in list(self._subscriptions.get(connection, ())):
            # The failure of one must not keep the connection in the others.
            attempt(self.unsubscribe, subscription)

    def catch_up_all(self, connection: Connection) -> None:
        """Bring all subscriptions of a connection up to date."""
        for subscription in list(self._subscriptions.get(connection, ())):
            self._loops[subscription.topic].feed.catch_up(subscription)

    def positions(self, connection: Connection) -> dict[str, int | None]:
        """Return the position of a connection on each of its topics, for the log."""
        return {each.topic: each.position for each in self._subscriptions.get(connection, ())}

    def refresh(self, topics: Iterable[str]) -> None:
        """Read these state topics again if they have feeds on this node."""
        for topic in topics:
            loop = self._loops.get(topic)
            if loop is not None and isinstance(loop.feed, StateFeed):
                loop.feed.request_read()

    async def run_receiving(self) -> None:
        """Receive hints until an exception, after which the caller must restart it.

        Each run joins all groups and reads all feeds.
        """
        self._groups.invalidate()
        await self._groups.open()
        for loop in list(self._loops.values()):
            loop.feed.request_read()
        while True:
            self._on_hint(await self._groups.receive())

    async def run_checking(self) -> None:
        """Compare positions with Redis's every second, and leave the groups of topics without subscriptions."""
        failures = 0
        known_reconnects = reconnects()
        backoff = Backoff(self._check_seconds, max(LONGEST_CHECK_SECONDS, self._check_seconds))
        while True:
            wait = self._check_seconds
            try:
                await self._check()
                failures = 0
                backoff.reset()
                self.set_redis_health("reads", healthy=True)
                if reconnects() != known_reconnects:
                    known_reconnects = reconnects()
                    self._on_reconnect()
            except REDIS_UNAVAILABLE_ERRORS as error:
                failures += 1
                wait = backoff.next_delay()
                logger.warning("the hub waits for Redis: %s", error)
                # A single failure may be transient; two in a row are an outage that users should see.
                if failures == 2:
                    self.set_redis_health("reads", healthy=False)
            await asyncio.sleep(wait)

    def _on_hint(self, message: dict[str, Any]) -> None:
        try:
            hint = Hint.decode(message)
        except MalformedHint as error:
            # The check finds the events of this hint; the others must not wait for a restart of the receiver.
            metrics.DROPPED.labels("hint").inc()
            logger.warning("a hint was refused: %s", error)
            return
        loop = self._loops.get(hint.topic)
        if loop is None:
            return
        if isinstance(loop.feed, StreamFeed) and hint.events is not None:
            for position, after, body in hint.events.each():
                loop.feed.on_hint(position, after, body, hint.events.published)
        else:
            loop.feed.request_read()

    async def stop(self) -> None:
        """Cancel all tasks; nothing is delivered afterwards."""
        self._groups.close()
        await cancel_all(loop.task for loop in self._loops.values() if loop.task is not None)

    def _schedule(self, feed: Feed) -> None:
        loop = self._loops.get(feed.name)
        if loop is not None:
            loop.schedule()

    async def _check(self) -> None:
        feeds = [loop.feed for loop in self._loops.values()]
        states = [feed for feed in feeds if isinstance(feed, StateFeed)]
        streams = [feed for feed in feeds if isinstance(feed, StreamFeed)]
        for first in range(0, len(states) or 1, POSITIONS_PER_CHECK):
            some = states[first : first + POSITIONS_PER_CHECK]
            versions = await self._presence.versions([feed.name for feed in some])
            for state, version in zip(some, versions, strict=True):
                if state.is_behind(version):
                    state.request_read()
        for first in range(0, len(streams), POSITIONS_PER_CHECK):
            part = streams[first : first + POSITIONS_PER_CHECK]
            ends = await self._streams.ends([feed.name for feed in part])
            for stream, end in zip(part, ends, strict=True):
                if stream.is_behind(end):
                    stream.request_read()
                stream.trim()
        self._groups.expire()
        for loop in list(self._loops.values()):
            loop.schedule()
            if loop.is_unused and not loop.is_running:
                loop.task = asyncio.ensure_future(self._leave(loop))

    async def _leave(self, loop: FeedLoop) -> None:
        """Leave the group of a topic without subscriptions, and forget its feed."""
        topic = loop.feed.name
        left = False
        try:
            await loop.leave()
            left = True
        except REDIS_UNAVAILABLE_ERRORS as error:
            logger.debug("topic %s is left later: %s", topic, error)
        except Exception:
            logger.exception("leaving topic %s failed; it is left later", topic)
        if loop.feed.subscriptions:
            # A connection subscribed in the meantime, and was served from the feed's memory.
            loop.feed.request_read()
        elif left:
            del self._loops[topic]
        # Otherwise the topic is still empty at a later check, which retries.

    def set_redis_health(self, operation: Literal["reads", "writes"], *, healthy: bool) -> None:
        """Record whether Redis answers reads, or accepts writes. Failed writes matter too: they reach no node."""
        if healthy:
            self._failing.discard(operation)
        else:
            self._failing.add(operation)
        stale = bool(self._failing)
        if stale == self.stale:
            return
        self.stale = stale
        metrics.STALE.set(stale)
        self._on_stale(stale)
