"""The hub: this process's one member of every group, and the feeds it keeps up to date.

It receives an event once, whatever the number of sockets. Hints may be lost: positions are compared every second.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Literal

from channels.layers import BaseChannelLayer
from redis.exceptions import RedisError

from tidewire import metrics
from tidewire.backoff import Backoff
from tidewire.connection import Connection
from tidewire.exceptions import NoRedis
from tidewire.feeds import Feed, StateFeed, Subscription
from tidewire.positions import Positions
from tidewire.presence import Presence
from tidewire.redis_connection import returns
from tidewire.stream_feed import StreamFeed
from tidewire.streams import StreamReads
from tidewire.tasks import end_all
from tidewire.topics import Position, StateTopic, Topic

logger = logging.getLogger(__name__)

HINT = "tidewire.hint"
# For a connection that wants only what comes.
NO_POSITIONS = Positions()
# What a layer or Redis may raise while Redis is away.
AWAY = (NoRedis, RedisError, OSError, asyncio.TimeoutError)
# No call of the layer takes longer. Without a bound one to a Redis that stands still would hold up all that follow.
LAYER_SECONDS = 2.0
# While Redis is away it is asked less and less often, and its return is noticed within this.
LONGEST_CHECK_SECONDS = 3.0
# The first reading waits until presence has been told of who caused it, so that nobody reads a count without them.
FIRST_SECONDS = 0.05
# Feeds that are read at once: their reads travel together, and leave connections for presence.
READS = 256
# Groups that are joined or left at once: a layer may take a connection for each call.
LAYER_CALLS = 16
# Positions that are compared in one call: a few milliseconds of the event loop.
CHECKED = 500
# After this long without a subscriber a topic's group is left; a reload finds it still joined.
LINGER_SECONDS = 10.0
# Layers with expiring groups (86,400 s by default) forget a member that never joins again.
REJOIN_SECONDS = 3600.0


def group_name(prefix: str, topic: str) -> str:
    """The Channels group that carries a topic's hints."""
    return f"{prefix}.{topic}"


class Hub:
    """Feeds by topic. All methods but `run_*` are synchronous and never wait for Redis."""

    def __init__(
        self,
        layer: BaseChannelLayer,
        presence: Presence,
        streams: StreamReads,
        *,
        prefix: str,
        coalesce_seconds: float,
        check_seconds: float,
    ) -> None:
        self._layer = layer
        self._presence = presence
        self._streams = streams
        self._prefix = prefix
        self._coalesce_seconds = coalesce_seconds
        self._check_seconds = check_seconds
        self._feeds: dict[str, Feed] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._refreshed: dict[str, float] = {}
        self._empty_since: dict[str, float] = {}
        self._joined: dict[str, float] = {}
        self._reads = asyncio.Semaphore(READS)
        self._layer_calls = asyncio.Semaphore(LAYER_CALLS)
        self._channel: str | None = None
        # What Redis does not do: be read, be written to. Either makes this node's sockets stale.
        self._lacking: set[Literal["reads", "writes"]] = set()
        self.stale = False

    def subscribe(self, topic: Topic, connection: Connection, at: Positions = NO_POSITIONS) -> Subscription:
        """Put a connection on a topic, once; it gets what it is due as soon as that is known.

        Raises `ValueError` where the topic's name belongs to a topic of the other kind.
        """
        subscribed = next((each for each in connection.subscriptions if each.feed.name == topic.name), None)
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
        connection.subscriptions.append(subscription)
        metrics.SUBSCRIPTIONS.labels(feed.family).inc()
        self.settle(subscription)
        if connection.code is not None:
            # The socket has gone meanwhile, so nothing else will take it off.
            self.unsubscribe(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Take a connection off a topic."""
        feed = subscription.feed
        if subscription not in feed.subscriptions:
            return
        del feed.subscriptions[subscription]
        metrics.SUBSCRIPTIONS.labels(feed.family).dec()
        if not feed.subscriptions:
            self._empty_since[feed.name] = asyncio.get_running_loop().time()

    def settle(self, subscription: Subscription) -> None:
        """Bring a subscription up to date, at once where memory has what it needs."""
        feed = subscription.feed
        if not feed.settle(subscription):
            feed.wants_refresh = True
            self._kick(feed)

    def changed(self, topics: Iterable[str]) -> None:
        """Read these state topics again, where they are followed here."""
        for topic in topics:
            feed = self._feeds.get(topic)
            if isinstance(feed, StateFeed):
                feed.wants_refresh = True
                self._kick(feed)

    async def run_receiving(self) -> None:
        """Take hints until something fails; the caller runs it again. Every run joins and reads anew.

        The channel stays the same: a layer goes on filling a channel that is only left behind.
        """
        for feed in self._feeds.values():
            feed.joined = False
            feed.wants_refresh = True
        if self._channel is None:
            async with asyncio.timeout(LAYER_SECONDS):
                self._channel = await self._layer.new_channel()
        for feed in list(self._feeds.values()):
            self._kick(feed)
        while True:
            self._hear(await self._layer.receive(self._channel))

    async def run_checking(self) -> None:
        """Compare positions with Redis's every second, and leave topics that nobody follows."""
        failures = 0
        known_returns = returns()
        backoff = Backoff(self._check_seconds, max(LONGEST_CHECK_SECONDS, self._check_seconds))
        while True:
            wait = self._check_seconds
            try:
                await self._check()
                failures = 0
                backoff.succeeded()
                self.lacks("reads", lacking=False)
                if returns() != known_returns:
                    known_returns = returns()
                    self.on_return()
            except AWAY as error:
                failures += 1
                wait = backoff.failed()
                logger.warning("the hub waits for Redis: %s", error)
                # One failure is a hiccup; two in a row are an outage that people should see.
                if failures == 2:
                    self.lacks("reads", lacking=True)
            await asyncio.sleep(wait)

    def _hear(self, message: dict[str, Any]) -> None:
        feed = self._feeds.get(message["topic"])
        if feed is None:
            return
        if isinstance(feed, StreamFeed):
            after = message["after"]
            for offset, (mark, body) in enumerate(
                zip(message["marks"], message["bodies"], strict=True), message["offset"]
            ):
                feed.hear(Position(message["epoch"], offset, mark), after, body, message["published"])
                after = mark
        else:
            feed.wants_refresh = True
        self._kick(feed)

    async def stop(self) -> None:
        """End what is under way; nothing is delivered after it."""
        self._channel = None
        await end_all(self._tasks.values())
        # One that was cancelled before it began has not taken itself off.
        self._tasks.clear()

    def _kick(self, feed: Feed) -> None:
        if self._channel is not None and feed.name not in self._tasks:
            self._tasks[feed.name] = asyncio.ensure_future(self._work(feed))

    async def _work(self, feed: Feed) -> None:
        """See to a feed until it wants nothing more. One task a feed at most."""
        topic = feed.name
        try:
            # A restart of the receiving takes `joined` back at any time.
            while feed.wants_refresh or feed.wants_delivery or not feed.joined:
                if not feed.joined:
                    await self._join(feed)
                if feed.wants_delivery:
                    await feed.deliver()
                if feed.wants_refresh:
                    await self._coalesce(feed)
                    async with self._reads:
                        await self._refresh(feed)
        except AWAY as error:
            # The check comes back to it every second.
            logger.debug("topic %s waits for Redis: %s", topic, error)
        except Exception:
            logger.exception("delivery on topic %s failed; it starts over", topic)
            metrics.HUB_RESTARTS.labels("delivery").inc()
            feed.forget()
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
        first = loop.time() - self._coalesce_seconds + FIRST_SECONDS
        wait = self._refreshed.get(feed.name, first) + self._coalesce_seconds - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        self._refreshed[feed.name] = loop.time()

    async def _join(self, feed: Feed) -> None:
        if self._channel is None:
            raise NoRedis("the hub has no channel yet")
        # Before the layer is asked, so that a restart in between is not forgotten.
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
        for first in range(0, len(states) or 1, CHECKED):
            some = states[first : first + CHECKED]
            versions = await self._presence.versions([feed.name for feed in some])
            for state, version in zip(some, versions, strict=True):
                state.wants_refresh |= state.is_behind(version)
        for first in range(0, len(streams), CHECKED):
            part = streams[first : first + CHECKED]
            ends = await self._streams.ends([feed.name for feed in part])
            for stream, end in zip(part, ends, strict=True):
                stream.wants_refresh |= stream.is_behind(end)
                stream.trim()
        now = asyncio.get_running_loop().time()
        for feed in list(self._feeds.values()):
            if now - self._joined.get(feed.name, now) > REJOIN_SECONDS:
                feed.joined = False
            if feed.wants_refresh or feed.wants_delivery or not feed.joined:
                self._kick(feed)
        self._leave_empty(now)

    def _leave_empty(self, now: float) -> None:
        for topic, since in list(self._empty_since.items()):
            feed = self._feeds.get(topic)
            if feed is None or feed.subscriptions:
                del self._empty_since[topic]
            elif now - since > LINGER_SECONDS and topic not in self._tasks:
                # In place of the feed's work, so that nobody joins the group while it is left.
                self._tasks[topic] = asyncio.ensure_future(self._leave(feed))

    async def _leave(self, feed: Feed) -> None:
        topic = feed.name
        try:
            if self._channel is not None:
                feed.joined = False
                async with self._layer_calls, asyncio.timeout(LAYER_SECONDS):
                    await self._layer.group_discard(group_name(self._prefix, topic), self._channel)
        except AWAY as error:
            # It is still empty at a later check.
            logger.debug("topic %s is left later: %s", topic, error)
            feed.joined = True
            return
        finally:
            del self._tasks[topic]
        if feed.subscriptions:
            # Somebody came meanwhile, and was served from what the feed remembers.
            feed.wants_refresh = True
            self._kick(feed)
        else:
            for remembered in (self._feeds, self._empty_since, self._refreshed, self._joined):
                remembered.pop(topic, None)

    def lacks(self, what: Literal["reads", "writes"], *, lacking: bool) -> None:
        """Redis does not answer reads, or takes no writes; or does again. What it cannot take nobody hears of."""
        if lacking:
            self._lacking.add(what)
        else:
            self._lacking.discard(what)
        stale = bool(self._lacking)
        if stale == self.stale:
            return
        self.stale = stale
        metrics.STALE.set(stale)
        self.on_stale(stale)

    def on_return(self) -> None:
        """Called when connections were lost and made again, to Redis or to another one; the node replaces it."""

    def on_stale(self, stale: bool) -> None:
        """Told when Redis went away or came back; the node replaces it."""
