"""The feed of a state topic: the newest value to every subscription."""

from collections.abc import Callable

from tidewire import metrics
from tidewire.events import StateEvent
from tidewire.fanout.feed import Batch, Feed
from tidewire.fanout.frames import Frame, frame_event
from tidewire.fanout.subscription import Subscription
from tidewire.presence import Presence, version_number
from tidewire.topics import StateTopic


class StateFeed(Feed):
    """The newest value of a state topic."""

    coalesces = True

    def __init__(
        self, topic: StateTopic, presence: Presence, on_due: Callable[[Feed], None] = lambda _feed: None
    ) -> None:
        super().__init__(topic.name, on_due)
        self.topic = topic
        self._presence = presence
        self.version = 0
        self._value: StateEvent | None = None
        self._snapshot: Frame | None = None
        # During a fan-out: the version before it, and the change since then.
        self._change: tuple[int, Frame] | None = None

    @property
    def end(self) -> int | None:
        return None if self._value is None else self.version

    def is_behind(self, version: int) -> bool:
        """True if the store's version differs from the one of this feed."""
        return version != self.end

    def invalidate(self) -> None:
        self._value = None
        super().invalidate()

    def _begin(self, subscription: Subscription) -> bool:
        frame = self._whole()
        if subscription.connection.try_write([frame], frame.wire):
            subscription.follow(self.version)
            metrics.DELIVERED.labels(self.family).inc()
        return True

    def _batch(self, position: int) -> Batch:
        before, change = self._change or (None, None)
        frame = self._whole() if change is None or position != before else change
        return [frame], frame.wire, self.version

    async def _read(self) -> None:
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
        self._change = before, frame_event(change)
        try:
            await self._deliver(list(self.subscriptions))
        except BaseException:
            # Also a cancellation: with a value, the next read would deliver nothing to the sockets not reached.
            self._value = None
            raise
        finally:
            self._change = None

    def _whole(self) -> Frame:
        """Return the whole value, encoded once."""
        if self._snapshot is None:
            assert self._value is not None
            self._snapshot = frame_event(self._value)
        return self._snapshot
