"""A feed: one topic as this process follows it, with its subscriptions.

Delivery is by position. Each subscription has its own position, so repeats, gaps and subscriptions added during a
fan-out need no special handling.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence

from tidewire import metrics
from tidewire.events import StateEvent
from tidewire.families import family_label
from tidewire.fanout.connection import Connection
from tidewire.fanout.delivery import fan_out
from tidewire.fanout.frames import Frame, frame_event
from tidewire.presence import Presence, version_number
from tidewire.topics import Position, StateTopic

logger = logging.getLogger(__name__)


class Subscription:
    """A connection on a topic. `position` is the last version or offset delivered; None before the first.

    On a stream topic the subscription either starts `at` a position, or has `lost` events and must be notified.
    """

    __slots__ = ("at", "connection", "feed", "lost", "position")

    def __init__(self, feed: Feed, connection: Connection, at: Position | None = None) -> None:
        self.feed = feed
        self.connection = connection
        self.at = at
        self.lost = False
        self.position: int | None = None


class Feed(ABC):
    """The base of both kinds of feed. The hub calls `refresh`, never concurrently for the same feed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.family = family_label(name)
        self.subscriptions: dict[Subscription, None] = {}
        # Work for the hub: join the group, then read the missing events.
        self.joined = False
        self.wants_refresh = True

    @property
    def wants_delivery(self) -> bool:
        """True if received events are not delivered yet."""
        return False

    async def deliver(self) -> None:
        """Deliver the received events. State topics receive none; their values are read."""
        return

    def invalidate(self) -> None:
        """Invalidate the memory of this feed, so that the next refresh reads everything."""
        self.wants_refresh = True

    def add(self, connection: Connection, at: Position | None) -> Subscription:
        """Subscribe a connection, starting at a position if it gives one."""
        subscription = Subscription(self, connection, at)
        self.subscriptions[subscription] = None
        return subscription

    @abstractmethod
    def catch_up(self, subscription: Subscription) -> bool:
        """Bring one subscription up to date from memory. Returns False if a `refresh` is needed."""

    @abstractmethod
    async def refresh(self) -> None:
        """Read the missing events once, and deliver them to the subscriptions that need them."""


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
        """True if the store's version differs from the one of this feed."""
        return self._value is None or version != self.version

    def catch_up(self, subscription: Subscription) -> bool:
        if self._value is None:
            return False
        if subscription.position == self.version:
            return True
        frame = self._frame()
        if subscription.connection.try_write([frame], frame.wire):
            subscription.position = self.version
            metrics.DELIVERED.labels(self.family).inc()
        return True

    async def refresh(self) -> None:
        [version] = await self._presence.versions([self.name])
        before, value = self.version, self._value
        if version == before and value is not None:
            return
        # Changes since a version that Redis had lost are unknown.
        if value is None or version < before or before == 0:
            change = value = await self.topic.read(self._presence, version_number(version))
        else:
            change = await self.topic.read_changes(self._presence, before, version_number(version))
            value = self.topic.merge(value, change)
        self._value, self.version, self._snapshot = value, version, None
        await self._deliver(before, frame_event(change))

    def invalidate(self) -> None:
        super().invalidate()
        self._value = None

    def _frame(self) -> Frame:
        if self._snapshot is None:
            assert self._value is not None
            self._snapshot = frame_event(self._value)
        return self._snapshot

    async def _deliver(self, before: int, change: Frame) -> None:
        version = self.version

        def write(chunk: Sequence[Subscription]) -> int:
            written = 0
            for subscription in chunk:
                if subscription.position == version:
                    continue
                frame = change if subscription.position == before else self._frame()
                try:
                    if subscription.connection.try_write([frame], frame.wire):
                        subscription.position = version
                        written += 1
                except Exception:  # A broken socket must not prevent delivery to the others.
                    metrics.DROPPED.labels("write").inc()
                    logger.exception("a socket could not be written to")
            return written

        await fan_out(self.family, list(self.subscriptions), write)
