"""A feed: one topic as this process follows it, with its subscriptions. The base of both kinds.

Delivery is by position. Each subscription has its own position, so repeats, gaps and subscriptions added during a
fan-out need no special handling.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

from tidewire import metrics
from tidewire.families import family_label
from tidewire.fanout.connection import Connection
from tidewire.fanout.delivery import fan_out
from tidewire.fanout.frames import Frame
from tidewire.fanout.subscription import Subscription
from tidewire.topics import Position

logger = logging.getLogger(__name__)

# Frames, their concatenation as bytes, and the position after them. Without frames the events are not in memory.
Batch = tuple[list[Frame], bytes, int]


class Feed(ABC):
    """The loop of a feed calls `deliver` and `read` while they are due, never concurrently: see `feed_loop`.

    `on_due` is called when one of them becomes due.
    """

    # True if reads should be rare, since each one delivers only the newest value.
    coalesces = False

    def __init__(self, name: str, on_due: Callable[["Feed"], None]) -> None:
        self.name = name
        self.family = family_label(name)
        self.subscriptions: dict[Subscription, None] = {}
        self.needs_read = True
        self.needs_delivery = False
        self._on_due = on_due

    @property
    @abstractmethod
    def end(self) -> int | None:
        """The newest version or offset in memory; None before the first read."""

    @abstractmethod
    def _begin(self, subscription: Subscription) -> bool:
        """Let a subscription that does not follow the topic begin. Returns False if a read is needed for that."""

    @abstractmethod
    def _batch(self, position: int) -> Batch:
        """Return the events after a position, up to the size of one write."""

    @abstractmethod
    async def _read(self) -> None:
        """Read the missing events once, and deliver them to the subscriptions that need them."""

    def add(self, connection: Connection, at: Position | None) -> Subscription:
        """Subscribe a connection, starting at a position if it gives one."""
        subscription = Subscription(self.name, connection, at)
        self.subscriptions[subscription] = None
        return subscription

    def request_read(self) -> None:
        """Let the loop read the topic."""
        self.needs_read = True
        self._on_due(self)

    async def read(self) -> None:
        """Read the topic. An exception leaves the read due."""
        self.needs_read = False
        try:
            await self._read()
        except BaseException:
            self.needs_read = True
            raise

    async def deliver(self) -> None:
        """Deliver the received events. State topics receive none; their values are read."""
        return

    def invalidate(self) -> None:
        """Forget the events in memory, so that the next read reads everything."""
        self.request_read()

    def catch_up(self, subscription: Subscription) -> bool:
        """Bring one subscription up to date from memory. Returns False if a read is needed, which is then due."""
        behind: list[Subscription] = []
        written = self._write([subscription], {}, behind)
        if written:
            metrics.DELIVERED.labels(self.family).inc(written)
        if behind:
            self.request_read()
        return not behind

    async def _deliver(
        self, subscriptions: Sequence[Subscription], *, published: float | None = None
    ) -> list[Subscription]:
        """Bring these subscriptions up to date from memory. Returns those that need a read."""
        behind: list[Subscription] = []
        batches: dict[int | None, Batch] = {}
        end: int | None = None

        def write(chunk: Sequence[Subscription]) -> int:
            nonlocal end
            if end != self.end:
                # Events were received in the meantime: from here on each socket gets all of them in one write.
                end = self.end
                batches.clear()
            return self._write(chunk, batches, behind)

        await fan_out(self.family, subscriptions, write, published=published)
        return behind

    def _write(  # noqa: C901 - one call per socket would cost more than its branches
        self, subscriptions: Iterable[Subscription], batches: dict[int | None, Batch], behind: list[Subscription]
    ) -> int:
        """Write to each subscription until it is up to date or its socket is full. Returns the number of events.

        The only place where events are delivered. `batches` are those made for this end, by the position before them;
        subscriptions that need a read are added to `behind`.
        """
        end = self.end
        if end is None:
            behind.extend(subscription for subscription in subscriptions if subscription in self.subscriptions)
            return 0
        written = 0
        for subscription in subscriptions:
            # Hot loop: for a socket that lacks one batch, only the write itself is called.
            position = subscription.position
            if position == end:
                continue
            try:
                while True:
                    batch = batches.get(position)
                    if batch is None:
                        if position is None:
                            position = self._start(subscription, behind)
                            if position is None or position == end:
                                break
                            continue
                        batch = batches[position] = self._batch(position)
                    frames, wire, position = batch
                    connection = subscription.connection
                    if not frames:
                        if subscription in self.subscriptions:
                            behind.append(subscription)
                    elif connection.full_since is None and (
                        connection.writer.try_write(frames, wire, connection.event_limit)
                        or connection.mark_full(len(wire))
                    ):
                        subscription.position = position
                        written += len(frames)
                        if position != end:
                            continue
                    break
            except Exception:  # A broken socket must not prevent delivery to the others.
                metrics.DROPPED.labels("write").inc()
                logger.exception("a socket could not be written to")
        return written

    def _start(self, subscription: Subscription, behind: list[Subscription]) -> int | None:
        """Let a subscription begin. Returns its position; None if it needs a read, or its socket has no room."""
        if subscription not in self.subscriptions:
            return None
        if not self._begin(subscription):
            behind.append(subscription)
            return None
        return subscription.position
