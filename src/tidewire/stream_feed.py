"""The feed of a stream topic: every event to every subscription, in order, once.

A subscription gets what it missed, or is told once that it cannot have it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tidewire import metrics
from tidewire.events import Resumed
from tidewire.fanout import fan_out
from tidewire.feeds import NOTHING, Feed, Subscription
from tidewire.frames import Frame, frame, frame_event
from tidewire.topics import ANY, Position, StreamTopic

if TYPE_CHECKING:
    from tidewire.streams import Entry, StreamReads

logger = logging.getLogger(__name__)

# Enough that a reconnecting client is served without Redis in all but a long absence.
RECENT_EVENTS = 256
# A client that missed more than this reloads rather than replays.
RESUME_EVENTS = 1000
# The longest rest after a fan-out in which more was heard: see `StreamFeed.deliver`.
REST_SECONDS = 0.02


# One write to a socket: a quarter of what may wait for it, so that a resume stops where the socket is full.
PORTION_BYTES = 64 * 1024
# Recent events of a topic stay in memory up to this size too. A client that needs older ones costs a read of Redis.
RECENT_BYTES = 1024 * 1024
# History that was read stays for so long, up to so much: sockets come back together, and a full one goes on from there.
HISTORY_KEPT_SECONDS = 5.0
HISTORY_KEPT_BYTES = 4 * RECENT_BYTES

# Frames, the same as bytes, and the offset of the last.
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
        # Without a hole, up to `position`. Cut by `trim` after each delivery and refresh, never within one.
        self._recent: deque[_Recent] = deque()
        self._recent_bytes = 0
        self._read_at = -HISTORY_KEPT_SECONDS
        # The mark of the event before the oldest recent one; None where it is not known.
        self._mark_before: str | None = None
        self._has_news = False
        self._published: float | None = None
        # Its absence is an alert, and a quiet topic is no absence.
        metrics.DELIVERY_SECONDS.labels(self.family)

    def is_behind(self, end: Position | None) -> bool:
        """Whether the stream's end is another than what this feed has."""
        return self.position is None or (end or NOTHING) != self.position

    def hear(self, at: Position, after: str, body: str, published: float) -> None:
        """Take a hint: the next event is now due for delivery, a repeat is nothing, a gap wants a `refresh`.

        `after` is the mark of the event before. An offset with another mark than the one that this feed has is no
        repeat: Redis lost events.
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

    def settle(self, subscription: Subscription) -> bool:
        if self.position is None:
            return False
        if subscription.position is None and not self._resume(subscription):
            return False
        return self._catch_up(subscription)

    async def refresh(self) -> None:
        # Whoever comes while Redis is asked may know of a later end than the answer: the next refresh is for them.
        asked, before = set(self.subscriptions), self.position
        [end] = await self._streams.ends([self.name])
        self._follow(before, end or NOTHING)
        behind = asked.intersection(await self._settle(list(self.subscriptions)))
        since = self._oldest_wanted(behind, end or NOTHING)
        if end is not None and since < end.offset:
            await self._read(since)
        lost = await self._settle([each for each in self.subscriptions if each.position is None or each in behind])
        for subscription in behind.intersection(lost):
            subscription.position, subscription.lost = None, True
        await self._settle(lost)
        self.trim()

    @property
    def wants_delivery(self) -> bool:
        return self._has_news

    async def deliver(self) -> None:
        """Deliver what was heard: to each socket all that it lacks, in one write.

        What is heard while this gives way to the loop goes out with it to the sockets that are still to come. The
        others get it after a rest as long as the fan-out took, and with it what is heard in that time: a burst costs
        two writes a socket, and an event that comes alone never waits.
        """
        if not self._has_news:
            return
        started = time.monotonic()
        await self._write_all()
        if self._has_news:
            await asyncio.sleep(min(time.monotonic() - started, REST_SECONDS))

    async def _write_all(self) -> None:
        self._has_news = False
        published, self._published = self._published, None
        last: int | None = None
        batches: dict[int, _Batch] = {}

        def write(chunk: Sequence[Subscription]) -> int:
            # The hot loop: no call but the write itself for a socket that is up to date.
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
                frames, wire, reached = batch
                connection = subscription.connection
                try:
                    if not frames:
                        self.wants_refresh = True
                    elif connection.full_since is None and (
                        connection.writer.offer(frames, wire, connection.room) or connection.fill(len(wire))
                    ):
                        subscription.position = reached
                        events += len(frames)
                        if reached != last:
                            self._catch_up(subscription)
                except Exception:  # One broken socket must not keep the event from the others.
                    metrics.DROPPED.labels("write").inc()
                    logger.exception("a socket could not be written to")
            return events

        await fan_out(self.family, list(self.subscriptions), write, published=published)
        self.trim()

    def forget(self) -> None:
        super().forget()
        self._clear()
        self._has_news = False
        self._published = None

    def _follow(self, before: Position | None, end: Position) -> None:
        """Take a topic's end into account, as it was asked for when this feed stood at `before`.

        Events heard since may have brought the feed beyond that end, so only `before` can tell a loss.
        """
        if before is None:
            self.position = end
            self._clear()
        elif end.epoch != before.epoch and before == NOTHING:
            self._begin(end.epoch)
        elif end.epoch != before.epoch or end.offset < before.offset:
            self._start_over(end)
        elif self._mark_at(end.offset) not in (end.mark, None):
            # The offset was given to another event: Redis lost the one that this feed has.
            self._start_over(end)

    async def _settle(self, subscriptions: list[Subscription]) -> list[Subscription]:
        """Settle these from memory; returns those for whom it takes a read."""
        unsettled: list[Subscription] = []

        def write(chunk: Sequence[Subscription]) -> int:
            for subscription in chunk:
                try:
                    if subscription in self.subscriptions and not self.settle(subscription):
                        unsettled.append(subscription)
                except Exception:  # As in `deliver`.
                    metrics.DROPPED.labels("write").inc()
                    logger.exception("a socket could not be written to")
            return 0

        await fan_out(self.family, subscriptions, write)
        return unsettled

    def _append(self, offset: int, mark: str, body: str) -> None:
        assert self.position is not None
        made = _frame_at(offset, mark, body)
        self._recent.append(_Recent(offset, mark, made))
        self._recent_bytes += len(made.wire)
        self._has_news = True
        self.position = Position(self.position.epoch, offset, mark)

    def _mark_at(self, offset: int) -> str | None:
        """The mark at an offset; None where memory does not have it."""
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
        """Say where a new subscription stands. False: it takes a read to know what it missed."""
        position = self.position
        assert position is not None
        if subscription.lost:
            self._lose(subscription)
            return True
        at = subscription.at or position
        if at == NOTHING:
            at = Position(position.epoch, 0)
        # A client may be ahead of this feed, by a hint that is still on its way: only Redis can tell.
        mark = self._mark_at(at.offset)
        if at.epoch != position.epoch or mark is None or at.mark not in (mark, ANY):
            return False
        if self._say_resumed(subscription, at, recovered=True):
            metrics.RESUMES.labels("recovered" if subscription.at else "new").inc()
        else:
            subscription.at = at
        return True

    def _catch_up(self, subscription: Subscription) -> bool:
        """Write what follows the subscription's position, until the socket is full. False: it takes a read."""
        assert self.position is not None
        while (position := subscription.position) is not None and position != self.position.offset:
            frames, wire, reached = self._batch(position)
            if not frames:
                return False
            if not subscription.connection.offer(frames, wire):
                return True
            subscription.position = reached
            metrics.DELIVERED.labels(self.family).inc(len(frames))
        return True

    def _batch(self, position: int) -> _Batch:
        """What follows a position, up to a portion; nothing where memory does not reach back so far."""
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
        return frames, b"".join(made.wire for made in frames), position + len(frames)

    def _lose(self, subscription: Subscription) -> None:
        """Tell a subscription that events were lost; it goes on from the end."""
        assert self.position is not None
        if self._say_resumed(subscription, self.position, recovered=False):
            subscription.lost = False
            metrics.RESUMES.labels("lost").inc()

    def _say_resumed(self, subscription: Subscription, at: Position, *, recovered: bool) -> bool:
        """Say where a subscription goes on. False: the socket is full, and gets it when it has room."""
        made = frame_event(Resumed(topic=self.name, recovered=recovered, at=str(at)))
        if not subscription.connection.offer([made], made.wire):
            return False
        subscription.position = at.offset
        return True

    def _begin(self, epoch: str) -> None:
        """The topic has its first event. Who waits for it since before that resumes from the beginning of its epoch."""
        self.position = Position(epoch, 0)
        self._clear()
        for subscription in self.subscriptions:
            if subscription.position is not None:
                subscription.position, subscription.at = None, self.position

    def _start_over(self, end: Position) -> None:
        """Redis lost the stream: its end is not where it was. Everybody has to reload."""
        self.position = end
        self._clear()
        self._has_news = False
        for subscription in self.subscriptions:
            if subscription.position is not None:
                subscription.position, subscription.lost = None, True

    def _oldest_recent(self) -> int:
        assert self.position is not None
        return self._recent[0].offset if self._recent else self.position.offset + 1

    def _oldest_wanted(self, behind: set[Subscription], end: Position) -> int:
        """The offset after which to read, for this feed and for those behind it whom one read can still serve."""
        assert self.position is not None
        wanted = self.position.offset
        for subscription in behind:
            have = subscription.position
            if have is None and subscription.at and subscription.at.epoch in (end.epoch, NOTHING.epoch):
                have = subscription.at.offset
            if have is not None and have >= end.offset - RESUME_EVENTS:
                wanted = min(wanted, have)
        return max(wanted, end.offset - RESUME_EVENTS)

    async def _read(self, since: int) -> None:
        """Read history after an offset, for everybody at once, into the recent events."""
        end, entries = await self._streams.read(self.name, since, limit=RESUME_EVENTS)
        metrics.HISTORY_READS.labels(self.family).inc()
        assert self.position is not None
        if end is None or end.epoch != self.position.epoch or not self._agrees(entries):
            self._start_over(end or NOTHING)
            return
        self._prepend(entries)
        for entry in entries:
            if entry.offset == self.position.offset + 1:
                self._append(entry.offset, entry.mark, entry.body)
        last = entries[-1] if len(entries) == RESUME_EVENTS else None
        reached = Position(end.epoch, last.offset, last.mark) if last else end
        if self.position.offset < reached.offset:
            # A hole: history begins after what we have, or has gone. What follows it is all there is.
            self._start_over(reached)

    def _agrees(self, entries: Sequence[Entry]) -> bool:
        """Whether history has the events that this feed has, as far as both reach."""
        found = [(entry.offset, entry.mark) for entry in entries]
        if entries:
            found.append((entries[0].offset - 1, entries[0].after))
        return all(self._mark_at(offset) in (mark, None) for offset, mark in found)

    def _prepend(self, entries: Sequence[Entry]) -> None:
        oldest = self._oldest_recent()
        older = [entry for entry in entries if entry.offset < oldest]
        if older and older[-1].offset == oldest - 1:
            self._mark_before = older[0].after
            made = [
                _Recent(entry.offset, entry.mark, _frame_at(entry.offset, entry.mark, entry.body))
                for entry in reversed(older)
            ]
            self._recent.extendleft(made)
            self._recent_bytes += sum(len(recent.frame.wire) for recent in made)
            self._read_at = time.monotonic()

    def trim(self) -> None:
        """Drop the oldest events in memory beyond the limits."""
        events, size = RECENT_EVENTS, RECENT_BYTES
        if time.monotonic() - self._read_at < HISTORY_KEPT_SECONDS:
            events, size = RESUME_EVENTS, HISTORY_KEPT_BYTES
        while len(self._recent) > events or self._recent_bytes > size:
            oldest = self._recent.popleft()
            self._recent_bytes -= len(oldest.frame.wire)
            self._mark_before = oldest.mark


def _frame_at(offset: int, mark: str, body: str) -> Frame:
    # Spliced in: Redis keeps the event as it was published. A topic's events from before there were marks have none.
    marked = f'"mark":"{mark}",' if mark else ""
    return frame(f'{{"offset":{offset},{marked}{body[1:]}')
