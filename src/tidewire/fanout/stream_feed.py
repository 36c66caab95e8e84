"""The feed of a stream topic: every event to every subscription, in order, once.

A subscription gets the events that it missed, or is notified once that they are lost.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from tidewire import metrics
from tidewire.events import Resumed
from tidewire.fanout.feed import Batch, Feed
from tidewire.fanout.frames import frame_event
from tidewire.fanout.recent_events import RESUME_EVENTS, RecentEvents
from tidewire.fanout.subscription import State, Subscription
from tidewire.streams import Entry, StreamReads
from tidewire.topics import ANY_MARK, START, Position, StreamTopic

# Longest pause after a fan-out during which more events were received: see `StreamFeed.deliver`.
MAX_PAUSE_SECONDS = 0.02


class StreamFeed(Feed):
    """The end of a stream topic, and its most recent events."""

    def __init__(
        self, topic: StreamTopic, streams: StreamReads, on_due: Callable[[Feed], None] = lambda _feed: None
    ) -> None:
        super().__init__(topic.name, on_due)
        self.topic = topic
        self._streams = streams
        # None before the first read.
        self._recent: RecentEvents | None = None
        self._published: float | None = None
        # Initialised here, because a missing metric raises an alert and a quiet topic must not.
        metrics.DELIVERY_SECONDS.labels(self.family)

    @property
    def end(self) -> int | None:
        return None if self._recent is None else self._recent.end.offset

    @property
    def position(self) -> Position | None:
        """The end of the topic as this feed knows it."""
        return None if self._recent is None else self._recent.end

    def is_behind(self, end: Position | None) -> bool:
        """True if the stream's end differs from the one of this feed."""
        return (end or START) != self.position

    def on_hint(self, at: Position, after: str, body: str, published: float) -> None:
        """Process a hint: the next event becomes due for delivery, a repeat is ignored, a gap requires a read.

        `after` is the mark of the preceding event. A known offset with a different mark is not a repeat: Redis lost
        events.
        """
        recent = self._recent
        if recent is None or at.epoch != recent.end.epoch or at.offset > recent.end.offset + 1:
            self.request_read()
        elif at.offset <= recent.end.offset:
            if not recent.agrees(at.offset, at.mark):
                self.request_read()
        elif after != recent.end.mark:
            self.request_read()
        else:
            self._published = published if self._published is None else min(self._published, published)
            self._append(recent, at.offset, at.mark, body)

    async def deliver(self) -> None:
        """Deliver the received events: to each socket all that it lacks, in one write.

        Events received while this yields to the event loop are delivered to the remaining sockets in the same pass. The
        other sockets get them after a pause as long as the fan-out, together with events received in the pause. A burst
        thus costs two writes per socket, and a single event never waits.
        """
        if not self.needs_delivery:
            return
        started = time.monotonic()
        self.needs_delivery = False
        published, self._published = self._published, None
        try:
            behind = await self._deliver(list(self.subscriptions), published=published)
        except BaseException:
            # Also a cancellation: the next pass must reach the other sockets.
            self.needs_delivery = True
            raise
        if behind:
            self.request_read()
        self.trim()
        if self.needs_delivery:
            await asyncio.sleep(min(time.monotonic() - started, MAX_PAUSE_SECONDS))

    def invalidate(self) -> None:
        if self._recent is not None:
            # The end stays, because a loss of the stream shows only by comparison with it.
            self._recent.restart(self._recent.end)
        self._published = None
        self.needs_delivery = False
        super().invalidate()

    def trim(self) -> None:
        """Drop the oldest events in memory beyond the limits."""
        if self._recent is not None:
            self._recent.trim()

    async def _read(self) -> None:
        # A connection that subscribes during the call to Redis may know of a later end than the reply: it waits for the
        # next read.
        asked, before = set(self.subscriptions), self.position
        [end] = await self._streams.ends([self.name])
        recent = self._apply_end(before, end or START)
        behind = asked.intersection(await self._deliver(list(self.subscriptions)))
        since = self._read_start(recent, behind, end or START)
        if end is not None and since < end.offset:
            await self._read_history(recent, since)
        lost = await self._deliver([each for each in self.subscriptions if each.position is None or each in behind])
        for subscription in behind.intersection(lost):
            subscription.lose()
        await self._deliver(lost)
        self.trim()

    def _apply_end(self, before: Position | None, end: Position) -> RecentEvents:
        """Process a topic's end, as read when this feed was at `before`.

        Events received since may have moved the feed beyond that end, so only `before` can show a loss.
        """
        recent = self._recent
        if recent is None or before is None:
            recent = self._recent = RecentEvents(end)
        elif end.epoch != before.epoch and before == START:
            self._begin_epoch(recent, end.epoch)
        elif end.epoch != before.epoch or end.offset < before.offset or not recent.agrees(end.offset, end.mark):
            # The offset may be the same, but given to another event: Redis lost the event that this feed has.
            self._restart(recent, end)
        return recent

    def _append(self, recent: RecentEvents, offset: int, mark: str, body: str) -> None:
        recent.append(offset, mark, body)
        self.needs_delivery = True
        self._on_due(self)

    def _batch(self, position: int) -> Batch:
        assert self._recent is not None
        return self._recent.batch(position)

    def _begin(self, subscription: Subscription) -> bool:
        """Send a subscription its position. Returns False if a read is needed to find the missed events."""
        recent = self._recent
        assert recent is not None
        if subscription.state is State.LOST:
            # The connection continues from the end.
            if self._send_resumed(subscription, recent.end, recovered=False):
                metrics.RESUMES.labels("lost").inc()
            return True
        at = subscription.at or recent.end
        if at == START:
            at = Position(recent.end.epoch, 0)
        # A client may be ahead of this feed because of a hint still in transit, which only Redis can decide.
        mark = recent.mark_at(at.offset)
        if at.epoch != recent.end.epoch or mark is None or at.mark not in (mark, ANY_MARK):
            return False
        if self._send_resumed(subscription, at, recovered=True):
            metrics.RESUMES.labels("recovered" if subscription.at else "new").inc()
        else:
            subscription.at = at
        return True

    def _send_resumed(self, subscription: Subscription, at: Position, *, recovered: bool) -> bool:
        """Send a subscription its position. Returns False if the socket is full; it is then sent later."""
        frame = frame_event(Resumed(topic=self.name, recovered=recovered, at=str(at)))
        if not subscription.connection.try_write([frame], frame.wire):
            return False
        subscription.follow(at.offset)
        return True

    def _begin_epoch(self, recent: RecentEvents, epoch: str) -> None:
        """Process the first event of a topic: earlier subscriptions resume from the beginning of its epoch."""
        recent.restart(Position(epoch, 0))
        for subscription in self.subscriptions:
            if subscription.state is State.FOLLOWING:
                subscription.join_again(recent.end)

    def _restart(self, recent: RecentEvents, end: Position) -> None:
        """Process a loss of the stream in Redis, after which its end has changed. All clients must reload."""
        recent.restart(end)
        self.needs_delivery = False
        for subscription in self.subscriptions:
            if subscription.state is State.FOLLOWING:
                subscription.lose()

    def _read_start(self, recent: RecentEvents, behind: set[Subscription], end: Position) -> int:
        """Return the offset after which to read, for this feed and for all subscriptions that one read can serve."""
        wanted = recent.end.offset
        for subscription in behind:
            have = subscription.position
            if have is None and subscription.at and subscription.at.epoch in (end.epoch, START.epoch):
                have = subscription.at.offset
            if have is not None and have >= end.offset - RESUME_EVENTS:
                wanted = min(wanted, have)
        return max(wanted, end.offset - RESUME_EVENTS)

    async def _read_history(self, recent: RecentEvents, since: int) -> None:
        """Read history after an offset, once for all subscriptions, into the recent events."""
        end, entries = await self._streams.read(self.name, since, limit=RESUME_EVENTS)
        metrics.HISTORY_READS.labels(self.family).inc()
        if end is None or end.epoch != recent.end.epoch or not _agree(recent, entries):
            self._restart(recent, end or START)
            return
        recent.prepend(entries)
        for entry in entries:
            if entry.offset == recent.end.offset + 1:
                self._append(recent, entry.offset, entry.mark, entry.body)
        last = entries[-1] if len(entries) == RESUME_EVENTS else None
        stored_end = Position(end.epoch, last.offset, last.mark) if last else end
        if recent.end.offset < stored_end.offset:
            # A gap: history begins after the feed's position, or was deleted. Only the events after the gap are left.
            self._restart(recent, stored_end)


def _agree(recent: RecentEvents, entries: Sequence[Entry]) -> bool:
    """Return whether history contains the same events as memory, as far as both reach."""
    marks = [(entry.offset, entry.mark) for entry in entries]
    if entries:
        marks.append((entries[0].offset - 1, entries[0].after))
    return all(recent.agrees(offset, mark) for offset, mark in marks)
