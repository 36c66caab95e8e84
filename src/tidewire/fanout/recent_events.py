"""The newest events of a stream topic in the memory of a node, as frames. No I/O."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from tidewire.fanout.frames import Frame, frame
from tidewire.streams import Entry
from tidewire.topics import Position

# Enough to serve a reconnecting client without Redis after all but a long absence.
RECENT_EVENTS = 256
# A client that missed more than this must reload instead.
RESUME_EVENTS = 1000
# Size of one write to a socket: a quarter of its backlog limit, so that a resume stops when the socket is full.
PORTION_BYTES = 64 * 1024
# Recent events of a topic stay in memory up to this size as well. A client that needs older ones costs a read of Redis.
RECENT_BYTES = 1024 * 1024
# History that was read is cached for this long, up to a size: sockets reconnect together, and a full one continues from
# there.
HISTORY_CACHE_SECONDS = 5.0
HISTORY_CACHE_BYTES = 4 * RECENT_BYTES


class RecentEvent(NamedTuple):
    """An event in memory."""

    offset: int
    mark: str
    frame: Frame


class RecentEvents:
    """Contiguous events up to `end`. Shortened by `trim` only, never within a fan-out. `clock` returns seconds."""

    def __init__(self, end: Position, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._read_at = clock() - HISTORY_CACHE_SECONDS
        self._events: deque[RecentEvent] = deque()
        self.restart(end)

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[RecentEvent]:
        return iter(self._events)

    def restart(self, end: Position) -> None:
        """Forget all events: the topic ends at another position."""
        self.end = end
        self.size = 0
        self._events.clear()
        # The mark of the event before the oldest one; None if unknown.
        self._mark_before: str | None = end.mark

    def append(self, offset: int, mark: str, body: str) -> None:
        """Add the next event."""
        frame = _frame_at(offset, mark, body)
        self._events.append(RecentEvent(offset, mark, frame))
        self.size += len(frame.wire)
        self.end = Position(self.end.epoch, offset, mark)

    def prepend(self, entries: Sequence[Entry]) -> None:
        """Add history, as far as it is older than the events in memory and adjacent to them."""
        oldest = self._oldest()
        older = [entry for entry in entries if entry.offset < oldest]
        if older and older[-1].offset == oldest - 1:
            self._mark_before = older[0].after
            events = [
                RecentEvent(entry.offset, entry.mark, _frame_at(entry.offset, entry.mark, entry.body))
                for entry in reversed(older)
            ]
            self._events.extendleft(events)
            self.size += sum(len(event.frame.wire) for event in events)
            self._read_at = self._clock()

    def mark_at(self, offset: int) -> str | None:
        """Return the mark at an offset; None if it is not in memory."""
        index = offset - self._oldest()
        if index == -1:
            return self._mark_before
        return self._events[index].mark if 0 <= index < len(self._events) else None

    def agrees(self, offset: int, mark: str) -> bool:
        """Return whether an offset has this mark, as far as memory reaches."""
        return self.mark_at(offset) in (mark, None)

    def batch(self, position: int) -> tuple[list[Frame], bytes, int]:
        """Return the events after a position, up to a portion; empty if memory does not reach back that far."""
        first = position + 1 - self._oldest()
        if first < 0:
            return [], b"", position
        frames: list[Frame] = []
        size = 0
        for event in islice(self._events, first, None):
            size += len(event.frame.wire)
            if frames and size > PORTION_BYTES:
                break
            frames.append(event.frame)
        return frames, b"".join(frame.wire for frame in frames), position + len(frames)

    def trim(self) -> None:
        """Drop the oldest events beyond the limits."""
        events, size = RECENT_EVENTS, RECENT_BYTES
        if self._clock() - self._read_at < HISTORY_CACHE_SECONDS:
            events, size = RESUME_EVENTS, HISTORY_CACHE_BYTES
        while len(self._events) > events or self.size > size:
            oldest = self._events.popleft()
            self.size -= len(oldest.frame.wire)
            self._mark_before = oldest.mark

    def _oldest(self) -> int:
        return self._events[0].offset if self._events else self.end.offset + 1


def _frame_at(offset: int, mark: str, body: str) -> Frame:
    # Inserted as text: Redis stores the event as it was published. Events from before the introduction of marks have
    # none.
    marked = f'"mark":"{mark}",' if mark else ""
    return frame(f'{{"offset":{offset},{marked}{body[1:]}')
