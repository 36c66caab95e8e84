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
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS, MalformedHint, RedisUnavailable
from tidewire.fanout.connection import Connection
from tidewire.fanout.feeds import Feed, StateFeed, Subscription
from tidewire.fanout.positions import Positions
from tidewire.fanout.stream_feed import StreamFeed
from tidewire.hints import Hint, group_name
from tidewire.presence import Presence
from tidewire.redis.backoff import Backoff
from tidewire.redis.connections import reconnects
from tidewire.streams import StreamReads
from tidewire.tasks import cancel_all
from tidewire.topics import StateTopic, Topic

logger = logging.getLogger(__name__)

# For a connection that needs only new events.
NO_POSITIONS = Positions()
# Timeout of each call to the layer. Without it a call to a Redis that hangs would block all later calls.
LAYER_SECONDS = 2.0
# While Redis is unavailable the delay between checks grows to this, within which a recovery is detected.
LONGEST_CHECK_SECONDS = 3.0
# Delay of the first reading, during which presence can be updated, so that the count includes the new member.
FIRST_READ_SECONDS = 0.05
# Number of feeds that are read concurrently. Their reads are batched and leave connections free for presence.
CONCURRENT_READS = 256
# Number of groups that are joined or left concurrently: a layer may use a connection for each call.
CONCURRENT_LAYER_CALLS = 16
# Number of positions compared in one call, which takes a few milliseconds of the event loop.
POSITIONS_PER_CHECK = 500
# A topic's group is left this long after its last subscription ended, so that a page can reload without joining again.
LINGER_SECONDS = 10.0
# Layers with expiring groups (86,400 s by default) drop a member that does not join again.
REJOIN_SECONDS = 3600.0


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
        self._layer = layer
        self._presence = presence
        self._streams = streams
        self._prefix = prefix
        self._coalesce_seconds = coalesce_seconds
        self._check_seconds = check_seconds
        self._on_stale = on_stale
        self._on_reconnect = on_reconnect
        self._subscriptions: dict[Connection, list[Subscription]] = {}
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refreshed: dict[str, float] = {}
        self._empty_since: dict[str, float] = {}
        self._joined: dict[str, float] = {}
        self._reads = asyncio.Semaphore(CONCURRENT_READS)
        self._layer_calls = asyncio.Semaphore(CONCURRENT_LAYER_CALLS)
        self._channel: str | None = None
        # Operations that Redis currently fails, reads or writes. Either makes this node's sockets stale.
        self._failing: set[Literal["reads", "writes"]] = set()
        self.stale = False

    def subscribe(self, topic: Topic, connection: Connection, at: Positions = NO_POSITIONS) -> Subscription:
        """Subscribe a connection to a topic, once. Events that are due are delivered as soon as they are known.

        Raises `ValueError` if the name belongs to a topic of the other kind.
        """
        subscriptions = self._subscriptions.setdefault(connection, [])
        subscribed = next((each for each in subscriptions if each.feed.name == topic.name), None)
        if subscribed is not None:
            return subscribed
        kind = StateFeed if isinstance(topic, StateTopic) else StreamFeed
        feed = self._feeds.get(topic.name)
        if feed is None:
            feed = self._feeds[topic.name] = (
                StateFeed(topic, self._presence) if isinstance(topic, StateTopic) else StreamFeed(topic, self._streams)
            )
        elif not isinstance(feed, kind):
            raise ValueError(f"topic {topic.name!r} is a state topic and a stream topic: give one another name")
        subscription = feed.add(connection, at.of(topic.name))
        subscriptions.append(subscription)
        metrics.SUBSCRIPTIONS.labels(feed.family).inc()
        self.catch_up(subscription)
        if connection.code is not None:
            # The socket is closed already, so its own end can no longer unsubscribe it.
            self.unsubscribe(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Unsubscribe a connection from a topic."""
        feed = subscription.feed
        if subscription not in feed.subscriptions:
            return
        del feed.subscriptions[subscription]
        subscriptions = self._subscriptions[subscription.connection]
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[subscription.connection]
        metrics.SUBSCRIPTIONS.labels(feed.family).dec()
        if not feed.subscriptions:
            self._empty_since[feed.name] = asyncio.get_running_loop().time()

    def unsubscribe_all(self, connection: Connection) -> None:
        """Unsubscribe a connection from all its topics."""
        for subscription in list(self._subscriptions.get(connection, ())):
            self.unsubscribe(subscription)
        # Also without a subscription there is an entry if the first one failed.
        self._subscriptions.pop(connection, None)

    def catch_up_all(self, connection: Connection) -> None:
        """Bring all subscriptions of a connection up to date."""
        for subscription in self._subscriptions.get(connection, ()):
            self.catch_up(subscription)

    def positions(self, connection: Connection) -> dict[str, int | None]:
        """Return the position of a connection on each of its topics, for the log."""
        return {each.feed.name: each.position for each in self._subscriptions.get(connection, ())}

    def catch_up(self, subscription: Subscription) -> None:
        """Bring a subscription up to date, at once if memory has all the events it needs."""
        feed = subscription.feed
        if not feed.catch_up(subscription):
            feed.wants_refresh = True
            self._schedule(feed)

    def refresh(self, topics: Iterable[str]) -> None:
        """Read these state topics again if they have feeds on this node."""
        for topic in topics:
            feed = self._feeds.get(topic)
            if isinstance(feed, StateFeed):
                feed.wants_refresh = True
                self._schedule(feed)

    async def run_receiving(self) -> None:
        """Receive hints until an exception; the caller must restart it. Each run joins all groups and reads all feeds.

        The channel is kept between runs, because a layer goes on filling a channel that is no longer read.
        """
        for feed in self._feeds.values():
            feed.joined = False
            feed.wants_refresh = True
        if self._channel is None:
            async with asyncio.timeout(LAYER_SECONDS):
                self._channel = await self._layer.new_channel()
        for feed in list(self._feeds.values()):
            self._schedule(feed)
        while True:
            self._on_hint(await self._layer.receive(self._channel))

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
        feed = self._feeds.get(hint.topic)
        if feed is None:
            return
        if isinstance(feed, StreamFeed) and hint.events is not None:
            for position, after, body in hint.events.each():
                feed.on_hint(position, after, body, hint.events.published)
        else:
            feed.wants_refresh = True
        self._schedule(feed)

    async def stop(self) -> None:
        """Cancel all tasks; nothing is delivered afterwards."""
        self._channel = None
        await cancel_all(self._tasks.values())
        # A task that was cancelled before it started has not removed itself.
        self._tasks.clear()

    def _schedule(self, feed: Feed) -> None:
        if self._channel is not None and feed.name not in self._tasks:
            self._tasks[feed.name] = asyncio.ensure_future(self._run(feed))

    async def _run(self, feed: Feed) -> None:
        """Run a feed's pending work until none is left. Each feed has at most one task."""
        topic = feed.name
        try:
            # A restart of `run_receiving` may reset `joined` at any time.
            while feed.wants_refresh or feed.wants_delivery or not feed.joined:
                if not feed.joined:
                    await self._join(feed)
                if feed.wants_delivery:
                    await feed.deliver()
                if feed.wants_refresh:
                    await self._coalesce(feed)
                    async with self._reads:
                        await self._refresh(feed)
        except REDIS_UNAVAILABLE_ERRORS as error:
            # The check retries the feed every second.
            logger.debug("topic %s waits for Redis: %s", topic, error)
        except Exception:
            logger.exception("delivery on topic %s failed; reading the topic again", topic)
            metrics.TASK_RESTARTS.labels("delivery").inc()
            feed.invalidate()
        finally:
            del self._tasks[topic]

    async def _refresh(self, feed: Feed) -> None:
        feed.wants_refresh = False
        try:
            await feed.refresh()
        except BaseException:
            feed.wants_refresh = True
            raise

    async def _coalesce(self, feed: Feed) -> None:
        if not isinstance(feed, StateFeed):
            return
        loop = asyncio.get_running_loop()
        first = loop.time() - self._coalesce_seconds + FIRST_READ_SECONDS
        wait = self._refreshed.get(feed.name, first) + self._coalesce_seconds - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        self._refreshed[feed.name] = loop.time()

    async def _join(self, feed: Feed) -> None:
        if self._channel is None:
            raise RedisUnavailable("the hub has no channel yet")
        # Set before the call to the layer, so that a restart of `run_receiving` in between can reset it.
        feed.joined = True
        try:
            async with self._layer_calls, asyncio.timeout(LAYER_SECONDS):
                await self._layer.group_add(group_name(self._prefix, feed.name), self._channel)
        except BaseException:
            feed.joined = False
            raise
        self._joined[feed.name] = asyncio.get_running_loop().time()

    async def _check(self) -> None:
        states = [feed for feed in self._feeds.values() if isinstance(feed, StateFeed)]
        streams = [feed for feed in self._feeds.values() if isinstance(feed, StreamFeed)]
        for first in range(0, len(states) or 1, POSITIONS_PER_CHECK):
            some = states[first : first + POSITIONS_PER_CHECK]
            versions = await self._presence.versions([feed.name for feed in some])
            for state, version in zip(some, versions, strict=True):
                state.wants_refresh |= state.is_behind(version)
        for first in range(0, len(streams), POSITIONS_PER_CHECK):
            part = streams[first : first + POSITIONS_PER_CHECK]
            ends = await self._streams.ends([feed.name for feed in part])
            for stream, end in zip(part, ends, strict=True):
                stream.wants_refresh |= stream.is_behind(end)
                stream.trim()
        now = asyncio.get_running_loop().time()
        for feed in list(self._feeds.values()):
            if now - self._joined.get(feed.name, now) > REJOIN_SECONDS:
                feed.joined = False
            if feed.wants_refresh or feed.wants_delivery or not feed.joined:
                self._schedule(feed)
        self._leave_empty(now)

    def _leave_empty(self, now: float) -> None:
        for topic, since in list(self._empty_since.items()):
            feed = self._feeds.get(topic)
            if feed is None or feed.subscriptions:
                del self._empty_since[topic]
            elif now - since > LINGER_SECONDS and topic not in self._tasks:
                # Registered as the feed's task, so that no other task can join the group while it is being left.
                self._tasks[topic] = asyncio.ensure_future(self._leave(feed))

    async def _leave(self, feed: Feed) -> None:
        topic = feed.name
        try:
            if self._channel is not None:
                feed.joined = False
                async with self._layer_calls, asyncio.timeout(LAYER_SECONDS):
                    await self._layer.group_discard(group_name(self._prefix, topic), self._channel)
        except REDIS_UNAVAILABLE_ERRORS as error:
            # The topic is still empty at a later check, which retries.
            logger.debug("topic %s is left later: %s", topic, error)
            feed.joined = True
            return
        finally:
            del self._tasks[topic]
        if feed.subscriptions:
            # A connection subscribed in the meantime, and was served from the feed's memory.
            feed.wants_refresh = True
            self._schedule(feed)
        else:
            for remembered in (self._feeds, self._empty_since, self._refreshed, self._joined):
                remembered.pop(topic, None)

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
