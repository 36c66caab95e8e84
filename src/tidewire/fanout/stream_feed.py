"""The feed of a stream topic: every event to every subscription, in order, once.

A subscription gets the events that it missed, or is notified once that they are lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from tidewire import metrics
from tidewire.events import Resumed
from tidewire.fanout.delivery import fan_out
from tidewire.fanout.feeds import Feed, Subscription
from tidewire.fanout.frames import Frame, frame, frame_event
from tidewire.streams import Entry, StreamReads
from tidewire.topics import ANY_MARK, START, Position, StreamTopic

logger = logging.getLogger(__name__)

# Enough to serve a reconnecting client without Redis after all but a long absence.
RECENT_EVENTS = 256
# A client that missed more than this must reload instead.
RESUME_EVENTS = 1000
# Longest pause after a fan-out during which more events were received: see `StreamFeed.deliver`.
MAX_PAUSE_SECONDS = 0.02


# Size of one write to a socket: a quarter of its backlog limit, so that a resume stops when the socket is full.
PORTION_BYTES = 64 * 1024
# Recent events of a topic stay in memory up to this size as well. A client that needs older ones costs a read of Redis.
RECENT_BYTES = 1024 * 1024
# History that was read is cached for this long, up to a size: sockets reconnect together, and a full one continues from
# there.
HISTORY_CACHE_SECONDS = 5.0
HISTORY_CACHE_BYTES = 4 * RECENT_BYTES

# Frames, their concatenation as bytes, and the offset of the last.
_Batch = tuple[list[Frame], bytes, int]


class _Recent(NamedTuple):
    offset: int
    mark: str
    frame: Frame


class StreamFeed(Feed):
    """The end of a stream topic, and its most recent events."""

    def __init__(self, topic: StreamTopic, streams: StreamReads) -> None:
        super().__init__(topic.name)
        self.topic = topic
        self._streams = streams
        self.position: Position | None = None
        # Contiguous, up to `position`. Shortened by `trim` after each delivery and refresh, never within one.
        self._recent: deque[_Recent] = deque()
        self._recent_bytes = 0
        self._read_at = -HISTORY_CACHE_SECONDS
        # The mark of the event before the oldest recent one; None if unknown.
        self._mark_before: str | None = None
        self._has_undelivered = False
        self._published: float | None = None
        # Initialised here, because a missing metric raises an alert and a quiet topic must not.
        metrics.DELIVERY_SECONDS.labels(self.family)

    def is_behind(self, end: Position | None) -> bool:
        """True if the stream's end differs from the one of this feed."""
        return self.position is None or (end or START) != self.position

    def on_hint(self, at: Position, after: str, body: str, published: float) -> None:
        """Process a hint: the next event becomes due for delivery, a repeat is ignored, a gap requires a `refresh`.

        `after` is the mark of the preceding event. A known offset with a different mark is not a repeat: Redis lost
        events.
        """
        position = self.position
        if position is None or at.epoch != position.epoch or at.offset > position.offset + 1:
            self.wants_refresh = True
        elif at.offset <= position.offset:
            self.wants_refresh |= self._mark_at(at.offset) not in (at.mark, None)
        elif after != position.mark:
            self.wants_refresh = True
        else:
            self._append(at.offset, at.mark, body)
            self._published = published if self._published is None else min(self._published, published)

    def catch_up(self, subscription: Subscription) -> bool:
        if self.position is None:
            return False
        if subscription.position is None and not self._resume(subscription):
            return False
        return self._write_missed(subscription)

    async def refresh(self) -> None:
        # A connection that subscribes during the call to Redis may know of a later end than the reply: it waits for the
        # next refresh.
        asked, before = set(self.subscriptions), self.position
        [end] = await self._streams.ends([self.name])
        self._apply_end(before, end or START)
        behind = asked.intersection(await self._catch_up_all(list(self.subscriptions)))
        since = self._read_start(behind, end or START)
        if end is not None and since < end.offset:
            await self._read(since)
        lost = await self._catch_up_all(
            [each for each in self.subscriptions if each.position is None or each in behind]
        )
        for subscription in behind.intersection(lost):
            subscription.position, subscription.lost = None, True
        await self._catch_up_all(lost)
        self.trim()

    @property
    def wants_delivery(self) -> bool:
        return self._has_undelivered

    async def deliver(self) -> None:
        """Deliver the received events: to each socket all that it lacks, in one write.

        Events received while this yields to the event loop are delivered to the remaining sockets in the same pass. The
        other sockets get them after a pause as long as the fan-out, together with events received in the pause. A burst
        thus costs two writes per socket, and a single event never waits.
        """
        if not self._has_undelivered:
            return
        started = time.monotonic()
        await self._write_all()
        if self._has_undelivered:
            await asyncio.sleep(min(time.monotonic() - started, MAX_PAUSE_SECONDS))

    async def _write_all(self) -> None:
        self._has_undelivered = False
        published, self._published = self._published, None
        last: int | None = None
        batches: dict[int, _Batch] = {}

        def write(chunk: Sequence[Subscription]) -> int:
            # Hot loop: for a socket that is up to date, only the write itself is called.
            nonlocal last, batches
            assert self.position is not None
            if last != self.position.offset:
                last, batches = self.position.offset, {}
            events = 0
            for subscription in chunk:
                position = subscription.position
                if position is None or position == last:
                    continue
                batch = batches.get(position)
                if batch is None:
                    batch = batches[position] = self._batch(position)
                frames, wire, batch_end = batch
                connection = subscription.connection
                try:
                    if not frames:
                        self.wants_refresh = True
                    elif connection.full_since is None and (
                        connection.writer.try_write(frames, wire, connection.event_limit)
                        or connection.mark_full(len(wire))
                    ):
                        subscription.position = batch_end
                        events += len(frames)
                        if batch_end != last:
                            self._write_missed(subscription)
                except Exception:  # A broken socket must not prevent delivery to the others.
                    metrics.DROPPED.labels("write").inc()
                    logger.exception("a socket could not be written to")
            return events

        await fan_out(self.family, list(self.subscriptions), write, published=published)
        self.trim()

    def invalidate(self) -> None:
        super().invalidate()
        self._clear()
        self._has_undelivered = False
        self._published = None

    def _apply_end(self, before: Position | None, end: Position) -> None:
        """Process a topic's end, as read when this feed was at `before`.

        Events received since may have moved the feed beyond that end, so only `before` can show a loss.
        """
        if before is None:
            self.position = end
            self._clear()
        elif end.epoch != before.epoch and before == START:
            self._begin_epoch(end.epoch)
        elif end.epoch != before.epoch or end.offset < before.offset:
            self._reset(end)
        elif self._mark_at(end.offset) not in (end.mark, None):
            # The offset was given to another event: Redis lost the event that this feed has.
            self._reset(end)

    async def _catch_up_all(self, subscriptions: list[Subscription]) -> list[Subscription]:
        """Update these subscriptions from memory; returns those that need a read."""
        behind: list[Subscription] = []

        def write(chunk: Sequence[Subscription]) -> int:
            for subscription in chunk:
                try:
                    if subscription in self.subscriptions and not self.catch_up(subscription):
                        behind.append(subscription)
                except Exception:  # As in `deliver`.
                    metrics.DROPPED.labels("write").inc()
                    logger.exception("a socket could not be written to")
            return 0

        await fan_out(self.family, subscriptions, write)
        return behind

    def _append(self, offset: int, mark: str, body: str) -> None:
        assert self.position is not None
        frame = _frame_at(offset, mark, body)
        self._recent.append(_Recent(offset, mark, frame))
        self._recent_bytes += len(frame.wire)
        self._has_undelivered = True
        self.position = Position(self.position.epoch, offset, mark)

    def _mark_at(self, offset: int) -> str | None:
        """Return the mark at an offset; None if it is not in memory."""
        assert self.position is not None
        index = offset - self._oldest_recent()
        if index == -1:
            return self._mark_before
        return self._recent[index].mark if 0 <= index < len(self._recent) else None

    def _clear(self) -> None:
        self._recent.clear()
        self._recent_bytes = 0
        self._mark_before = self.position.mark if self.position else None

    def _resume(self, subscription: Subscription) -> bool:
        """Send a new subscription its position. Returns False if a read is needed to find the missed events."""
        position = self.position
        assert position is not None
        if subscription.lost:
            self._send_gap(subscription)
            return True
        at = subscription.at or position
        if at == START:
            at = Position(position.epoch, 0)
        # A client may be ahead of this feed because of a hint still in transit, which only Redis can decide.
        mark = self._mark_at(at.offset)
        if at.epoch != position.epoch or mark is None or at.mark not in (mark, ANY_MARK):
            return False
        if self._send_resumed(subscription, at, recovered=True):
            metrics.RESUMES.labels("recovered" if subscription.at else "new").inc()
        else:
            subscription.at = at
        return True

    def _write_missed(self, subscription: Subscription) -> bool:
        """Write the events after the subscription's position, until the socket is full. False: a read is needed."""
        assert self.position is not None
        while (position := subscription.position) is not None and position != self.position.offset:
            frames, wire, batch_end = self._batch(position)
            if not frames:
                return False
            if not subscription.connection.try_write(frames, wire):
                return True
            subscription.position = batch_end
            metrics.DELIVERED.labels(self.family).inc(len(frames))
        return True

    def _batch(self, position: int) -> _Batch:
        """Return the events after a position, up to a portion; empty if memory does not reach back that far."""
        first = position + 1 - self._oldest_recent()
        if first < 0:
            return [], b"", position
        frames: list[Frame] = []
        size = 0
        for recent in islice(self._recent, first, None):
            size += len(recent.frame.wire)
            if frames and size > PORTION_BYTES:
                break
            frames.append(recent.frame)
        return frames, b"".join(frame.wire for frame in frames), position + len(frames)

    def _send_gap(self, subscription: Subscription) -> None:
        """Notify a subscription that events were lost; it continues from the end."""
        assert self.position is not None
        if self._send_resumed(subscription, self.position, recovered=False):
            subscription.lost = False
            metrics.RESUMES.labels("lost").inc()

    def _send_resumed(self, subscription: Subscription, at: Position, *, recovered: bool) -> bool:
        """Send a subscription its position. Returns False if the socket is full; it is then sent later."""
        frame = frame_event(Resumed(topic=self.name, recovered=recovered, at=str(at)))
        if not subscription.connection.try_write([frame], frame.wire):
            return False
        subscription.position = at.offset
        return True

    def _begin_epoch(self, epoch: str) -> None:
        """Process the first event of a topic: earlier subscriptions resume from the beginning of its epoch."""
        self.position = Position(epoch, 0)
        self._clear()
        for subscription in self.subscriptions:
            if subscription.position is not None:
                subscription.position, subscription.at = None, self.position

    def _reset(self, end: Position) -> None:
        """Process a loss of the stream in Redis, after which its end has changed. All clients must reload."""
        self.position = end
        self._clear()
        self._has_undelivered = False
        for subscription in self.subscriptions:
            if subscription.position is not None:
                subscription.position, subscription.lost = None, True

    def _oldest_recent(self) -> int:
        assert self.position is not None
        return self._recent[0].offset if self._recent else self.position.offset + 1

    def _read_start(self, behind: set[Subscription], end: Position) -> int:
        """Return the offset after which to read, for this feed and for all subscriptions that one read can serve."""
        assert self.position is not None
        wanted = self.position.offset
        for subscription in behind:
            have = subscription.position
            if have is None and subscription.at and subscription.at.epoch in (end.epoch, START.epoch):
                have = subscription.at.offset
            if have is not None and have >= end.offset - RESUME_EVENTS:
                wanted = min(wanted, have)
        return max(wanted, end.offset - RESUME_EVENTS)

    async def _read(self, since: int) -> None:
        """Read history after an offset, once for all subscriptions, into the recent events."""
        end, entries = await self._streams.read(self.name, since, limit=RESUME_EVENTS)
        metrics.HISTORY_READS.labels(self.family).inc()
        assert self.position is not None
        if end is None or end.epoch != self.position.epoch or not self._matches_memory(entries):
            self._reset(end or START)
            return
        self._prepend(entries)
        for entry in entries:
            if entry.offset == self.position.offset + 1:
                self._append(entry.offset, entry.mark, entry.body)
        last = entries[-1] if len(entries) == RESUME_EVENTS else None
        stored_end = Position(end.epoch, last.offset, last.mark) if last else end
        if self.position.offset < stored_end.offset:
            # A gap: history begins after the feed's position, or was deleted. Only the events after the gap are left.
            self._reset(stored_end)

    def _matches_memory(self, entries: Sequence[Entry]) -> bool:
        """Return whether history contains the same events as this feed, as far as both reach."""
        marks = [(entry.offset, entry.mark) for entry in entries]
        if entries:
            marks.append((entries[0].offset - 1, entries[0].after))
        return all(self._mark_at(offset) in (mark, None) for offset, mark in marks)

    def _prepend(self, entries: Sequence[Entry]) -> None:
        oldest = self._oldest_recent()
        older = [entry for entry in entries if entry.offset < oldest]
        if older and older[-1].offset == oldest - 1:
            self._mark_before = older[0].after
            recent_before = [
                _Recent(entry.offset, entry.mark, _frame_at(entry.offset, entry.mark, entry.body))
                for entry in reversed(older)
            ]
            self._recent.extendleft(recent_before)
            self._recent_bytes += sum(len(recent.frame.wire) for recent in recent_before)
            self._read_at = time.monotonic()

    def trim(self) -> None:
        """Drop the oldest events in memory beyond the limits."""
        events, size = RECENT_EVENTS, RECENT_BYTES
        if time.monotonic() - self._read_at < HISTORY_CACHE_SECONDS:
            events, size = RESUME_EVENTS, HISTORY_CACHE_BYTES
        while len(self._recent) > events or self._recent_bytes > size:
            oldest = self._recent.popleft()
            self._recent_bytes -= len(oldest.frame.wire)
            self._mark_before = oldest.mark


def _frame_at(offset: int, mark: str, body: str) -> Frame:
    # Inserted as text: Redis stores the event as it was published. Events from before the introduction of marks have
    # none.
    marked = f'"mark":"{mark}",' if mark else ""
    return frame(f'{{"offset":{offset},{marked}{body[1:]}')
