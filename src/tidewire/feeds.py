"""A feed: one topic as this process follows it, with the subscriptions that it serves.

Delivery is by position: each subscription knows what it has, so repeats, gaps and joins
in the middle of a fan-out settle themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from tidewire import metrics
from tidewire.events import Resumed, StateEvent
from tidewire.fanout import fan_out
from tidewire.frames import Frame, frame, frame_event
from tidewire.topics import Position, StateTopic, StreamTopic

if TYPE_CHECKING:
    from tidewire.connection import Connection
    from tidewire.presence import Presence
    from tidewire.streams import Streams

# Enough that a reconnecting client is served without Redis in all but a long absence.
RECENT_EVENTS = 256
# A client that missed more than this reloads rather than replays.
RESUME_EVENTS = 1000
# Before any event a topic has no epoch. A client that says so has seen nothing of any.
NOTHING = Position("0", 0)


class Subscription:
    """A connection on a topic. `position` is the version or offset that it has; None: nothing yet."""

    __slots__ = ("at", "connection", "feed", "position")

    def __init__(self, feed: Feed, connection: Connection, at: Position | None = None) -> None:
        self.feed = feed
        self.connection = connection
        self.at = at
        self.position: int | None = None


class Feed(ABC):
    """What is common to both kinds. `refresh` is called by the hub, never twice at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.subscriptions: dict[Subscription, None] = {}
        # Work that the hub sees to: join the group, then read what is missing.
        self.joined = False
        self.wants_refresh = True

    @property
    def wants_delivery(self) -> bool:
        """Whether something was heard that is not delivered yet."""
        return False

    async def deliver(self) -> None:
        """Deliver what was heard; state topics are never heard, only read."""
        return

    def forget(self) -> None:
        """Trust nothing that is remembered: the next refresh reads it all."""
        self.wants_refresh = True

    def add(self, connection: Connection, at: Position | None) -> Subscription:
        """Subscribe a connection, from a position where it names one."""
        subscription = Subscription(self, connection, at)
        self.subscriptions[subscription] = None
        return subscription

    @abstractmethod
    def settle(self, subscription: Subscription) -> bool:
        """Bring one subscription up to date from memory. False: it takes a `refresh`."""

    @abstractmethod
    async def refresh(self) -> None:
        """Read what is missing once, and deliver it to whom it is due."""


class StateFeed(Feed):
    """The newest value of a state topic."""

    def __init__(self, topic: StateTopic, presence: Presence) -> None:
        super().__init__(topic.name)
        self.topic = topic
        self._presence = presence
        self.version = 0
        self._value: StateEvent | None = None
        self._snapshot: Frame | None = None

    def is_behind(self, version: int) -> bool:
        """Whether there is something else than what this feed has."""
        return self._value is None or version != self.version

    def settle(self, subscription: Subscription) -> bool:
        if self._value is None:
            return False
        if subscription.position != self.version and subscription.connection.ready():
            subscription.connection.write(self._frame())
            subscription.position = self.version
            metrics.DELIVERED.labels(self.name.partition(".")[0]).inc()
        return True

    async def refresh(self) -> None:
        [version] = await self._presence.versions([self.name])
        before, value = self.version, self._value
        if value is None or version < before:
            change = value = await self.topic.read(self._presence, version)
        elif version == before:
            return
        else:
            change = await self.topic.read_changes(self._presence, before, version)
            value = self.topic.merge(value, change)
        self._value, self.version, self._snapshot = value, version, None
        await self._deliver(before, frame_event(change))

    def forget(self) -> None:
        super().forget()
        self._value = None

    def _frame(self) -> Frame:
        if self._snapshot is None:
            assert self._value is not None
            self._snapshot = frame_event(self._value)
        return self._snapshot

    async def _deliver(self, before: int, change: Frame) -> None:
        version = self.version

        def write(subscription: Subscription) -> bool:
            if subscription.position == version or not subscription.connection.ready():
                return False
            subscription.connection.write(change if subscription.position == before else self._frame())
            subscription.position = self.version
            return True

        await fan_out(self.name, list(self.subscriptions), write)


class StreamFeed(Feed):
    """The end of a stream topic, and its most recent events."""

    def __init__(self, topic: StreamTopic, streams: Streams) -> None:
        super().__init__(topic.name)
        self.topic = topic
        self._streams = streams
        self.position: Position | None = None
        self._recent: deque[tuple[int, Frame]] = deque(maxlen=RECENT_EVENTS)
        self._pending: list[tuple[int, Frame]] = []
        self._published: float | None = None

    def is_behind(self, end: Position | None) -> bool:
        """Whether the stream's end is another than what this feed has."""
        return self.position is None or (end or NOTHING) != self.position

    def hear(self, at: Position, body: str, published: float) -> bool:
        """Take a hint. True: the next event, now due for delivery. False: a repeat, or a gap (`is_behind`)."""
        if self.position is None or at.epoch != self.position.epoch or at.offset != self.position.offset + 1:
            return False
        self._append(at, body)
        self._published = published if self._published is None else min(self._published, published)
        return True

    def settle(self, subscription: Subscription) -> bool:
        if self.position is None:
            return False
        if subscription.position is None and not self._resume(subscription):
            return False
        return self._catch_up(subscription)

    async def refresh(self) -> None:
        [end] = await self._streams.ends([self.name])
        end = end or NOTHING
        if self.position is None:
            self.position = end
        elif self.position == NOTHING and end.epoch != NOTHING.epoch:
            self.position = Position(end.epoch, 0)
        elif end.epoch != self.position.epoch or end.offset < self.position.offset:
            self._start_over(end)
        since = self._oldest_wanted()
        if since < end.offset:
            await self._read(since)
        for subscription in list(self.subscriptions):
            if not self.settle(subscription):
                self._lose(subscription)

    @property
    def wants_delivery(self) -> bool:
        return bool(self._pending)

    async def deliver(self) -> None:
        """Deliver what was heard since the last delivery, all of it to a socket in one write."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        published, self._published = self._published, None
        first, last = pending[0][0], pending[-1][0]
        frames = [made for _, made in pending]
        wire = b"".join(made.wire for made in frames)

        def write(subscription: Subscription) -> bool:
            connection = subscription.connection
            if subscription.position == first - 1:
                if not connection.ready():
                    return False
                connection.writer.write(frames, wire)
                subscription.position = last
                return True
            if subscription.position is not None and subscription.position < last:
                self.wants_refresh |= not self._catch_up(subscription)
            return False

        await fan_out(self.name, list(self.subscriptions), write, events=len(frames), published=published)

    def _append(self, at: Position, body: str) -> None:
        # The offset is spliced in: what Redis kept is the event as it was published.
        made = (at.offset, frame(f'{{"offset":{at.offset},{body[1:]}'))
        self._recent.append(made)
        self._pending.append(made)
        self.position = at

    def _resume(self, subscription: Subscription) -> bool:
        """Say where a new subscription stands. False: it takes a read to know what it missed."""
        position = self.position
        assert position is not None
        at = subscription.at or position
        if at == NOTHING:
            at = Position(position.epoch, 0)
        if at.epoch != position.epoch or at.offset > position.offset:
            self._lose(subscription)
            return True
        if at.offset + 1 < self._oldest_recent() and at.offset != position.offset:
            return False
        resumed = Resumed(topic=self.name, recovered=True, at=str(at))
        subscription.connection.write(frame_event(resumed))
        subscription.position = at.offset
        metrics.RESUMES.labels("recovered" if subscription.at else "new").inc()
        return True

    def _catch_up(self, subscription: Subscription) -> bool:
        assert self.position is not None
        assert subscription.position is not None
        if subscription.position == self.position.offset or not subscription.connection.ready():
            return True
        if subscription.position + 1 < self._oldest_recent():
            return False
        frames = [made for offset, made in self._recent if offset > subscription.position]
        subscription.connection.writer.write(frames, b"".join(made.wire for made in frames))
        subscription.position = self.position.offset
        metrics.DELIVERED.labels(self.name).inc(len(frames))
        return True

    def _lose(self, subscription: Subscription) -> None:
        """Tell a subscription that it cannot have what it missed; it goes on from the end."""
        assert self.position is not None
        resumed = Resumed(topic=self.name, recovered=False, at=str(self.position))
        subscription.connection.write(frame_event(resumed))
        subscription.position = self.position.offset
        metrics.RESUMES.labels("lost").inc()

    def _start_over(self, end: Position) -> None:
        """Redis lost the stream: its end is not where it was. Everybody has to reload."""
        self.position = end
        self._recent.clear()
        self._pending.clear()
        for subscription in self.subscriptions:
            if subscription.position is not None:
                self._lose(subscription)

    def _oldest_recent(self) -> int:
        assert self.position is not None
        return self._recent[0][0] if self._recent else self.position.offset + 1

    def _oldest_wanted(self) -> int:
        """The offset after which somebody here still needs what came."""
        assert self.position is not None
        wanted = self.position.offset
        for subscription in self.subscriptions:
            if subscription.position is not None:
                wanted = min(wanted, subscription.position)
            elif subscription.at is not None and subscription.at.epoch in (self.position.epoch, NOTHING.epoch):
                wanted = min(wanted, subscription.at.offset)
        return wanted

    async def _read(self, since: int) -> None:
        """Read history after an offset, for everybody at once, into the recent events."""
        assert self.position is not None
        epoch, oldest = self.position.epoch, self._oldest_recent()
        entries = await self._streams.after(self.name, since, limit=RESUME_EVENTS)
        metrics.HISTORY_READS.labels(self.name).inc()
        older = [(offset, body) for offset, body in entries if offset < oldest and offset <= self.position.offset]
        self._recent = deque(self._recent, maxlen=max(RECENT_EVENTS, len(entries) + len(self._recent)))
        if older and older[-1][0] == min(oldest - 1, self.position.offset):
            self._recent.extendleft(
                (offset, frame(f'{{"offset":{offset},{body[1:]}')) for offset, body in reversed(older)
            )
        for offset, body in entries:
            if offset == self.position.offset + 1:
                self._append(Position(epoch, offset), body)
        if entries and entries[-1][0] > self.position.offset:
            # A hole: history ended before what we have. What follows it is all there is.
            self._start_over(Position(epoch, entries[-1][0]))
