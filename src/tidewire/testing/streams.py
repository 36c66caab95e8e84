"""Streams in the memory of one process, with the faults of a Redis that is unavailable or lost writes."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha1
from uuid import uuid4

from redis.exceptions import ResponseError

from tidewire.events import StreamEvent
from tidewire.exceptions import RedisUnavailable
from tidewire.streams import Appended, Encoded, Entry, Stamp, Streams
from tidewire.topics import START, Position


class MemoryStreams(Streams):
    """The interface `Streams` without I/O, with the faults of a real Redis.

    If `unavailable` is True, each call raises `RedisUnavailable`. `asked` is awaited before and after each call, so
    that a test can change the streams in between. `clock` returns Redis's time in seconds since 1970, and `reads`
    counts the reads of a history.

    Args:
        length: Number of events that each history has at most: the setting HISTORY_LENGTH.

    Example:
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from tidewire.events import StreamEvent
        >>> class MessagePosted(StreamEvent):
        ...     type: Literal["message"] = "message"
        ...     text: str
        >>> streams = MemoryStreams()
        >>> streams.append_now(MessagePosted(topic="talk", id=uuid4(), text="hello")).position.offset
        1
        >>> streams.roll_back("talk", 1)
        >>> streams.lose_history("talk")
        >>> streams.end("talk") == streams.place("talk", 0)
        True
        >>> streams.flush()
        >>> streams.end("talk") is None
        True

    """

    def __init__(self, *, length: int = 1000) -> None:
        self.unavailable = False
        self.reads = 0
        self.asked: Callable[[], Awaitable[None]] = _at_once
        # The clock of Redis, in seconds since 1970.
        self.clock = time.time
        self._length = length
        self._epochs = 0
        self._ends: dict[str, Position] = {}
        self._history: dict[str, deque[Entry]] = {}
        self._seen: dict[str, dict[str, int]] = {}
        self._last: dict[str, tuple[int, str]] = {}

    async def append(self, event: Encoded) -> Appended:
        await self._ask()
        return self._append(event)

    async def append_all(self, batch: Mapping[str, Sequence[Encoded]]) -> dict[str, list[Appended] | ResponseError]:
        await self._ask()
        return {topic: self._append_some(events) for topic, events in batch.items()}

    def append_now(self, event: StreamEvent) -> Appended:
        """Append an event without a call that can fail.

        Args:
            event: The event with an id of its own.

        Returns:
            The event's position, and whether it is new.

        """
        return self._append(Encoded.of(event))

    def _append_some(self, events: Sequence[Encoded]) -> list[Appended]:
        last = self._last.get(events[0].topic)
        repeated = any((event.sequence, event.id) == last for event in events)
        done: list[Appended] = []
        for event in events:
            refused = bool(done and done[-1].stream_sequence is not None)
            done.append(self._append(event, repeated=repeated, refused=refused))
        return done

    def _append(self, event: Encoded, *, repeated: bool = False, refused: bool = False) -> Appended:
        topic = event.topic
        if topic not in self._ends:
            self._epochs += 1
            self._begin(topic, f"e{self._epochs}")
        end = self._ends[topic]
        last, last_id = self._last.get(topic, (0, ""))
        seen = self._seen[topic].get(event.id)
        old = event.sequence is not None and event.sequence <= last
        if refused or (old and seen is None and not repeated and event.id != last_id):
            return Appended(False, Position(end.epoch, 0), stream_sequence=last)
        if seen is not None or old:
            return Appended(False, self.place(topic, seen or 0))
        after, mark = end.mark, mark_after(end.mark, event.id)
        end = self._ends[topic] = Position(end.epoch, end.offset + 1, mark)
        self._seen[topic][event.id] = end.offset
        if len(self._seen[topic]) > max(self._length, 1000):
            del self._seen[topic][next(iter(self._seen[topic]))]
        if event.sequence is not None:
            self._last[topic] = (event.sequence, event.id)
        self._history[topic].append(Entry(end.offset, mark, after, event.body))
        return Appended(True, end, after)

    def _begin(self, topic: str, epoch: str) -> None:
        self._ends[topic] = Position(epoch, 0)
        self._history[topic] = deque(maxlen=self._length)
        self._seen[topic] = {}
        self._last.pop(topic, None)

    async def stamp(self, topic: str) -> Stamp:
        await self._ask()
        if topic not in self._ends:
            self._begin(topic, uuid4().hex[:12])
        return Stamp(self._ends[topic], int(self.clock() * 1000))

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        await self._ask()
        matching = [self._ends.get(topic) for topic in topics]
        await self.asked()
        return matching

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[Entry]]:
        await self._ask()
        self.reads += 1
        entries = [entry for entry in self._history.get(topic, ()) if entry.offset > since][:limit]
        end = self._ends.get(topic)
        await self.asked()
        return end, entries

    def end(self, topic: str) -> Position | None:
        """Return the end of a topic.

        Args:
            topic: Name of the topic.

        Returns:
            The position of its last event; None if no event was ever appended.

        """
        return self._ends.get(topic)

    def place(self, topic: str, offset: int) -> Position:
        """Return the position at an offset.

        Args:
            topic: Name of the topic.
            offset: Number of events before the position.

        Returns:
            The position. Its mark is empty if history does not have the event.

        """
        epoch = self._ends[topic].epoch if topic in self._ends else START.epoch
        marks = {entry.offset: entry.mark for entry in self._history.get(topic, ())}
        return Position(epoch, offset, marks.get(offset, ""))

    def flush(self) -> None:
        """Delete everything, as FLUSHALL does."""
        self._ends.clear()
        self._history.clear()

    def roll_back(self, topic: str, events: int) -> None:
        """Remove the last events, as when a replica without them becomes the primary.

        Args:
            topic: Name of the topic.
            events: The number of events.

        """
        history = self._history.get(topic, deque())
        for _ in range(min(events, len(history))):
            lost = history.pop()
            self._ends[topic] = Position(self._ends[topic].epoch, lost.offset - 1, lost.after)
            self._seen[topic] = {name: at for name, at in self._seen[topic].items() if at < lost.offset}

    def lose_history(self, topic: str, *, keep: int = 0) -> None:
        """Delete the history but not the position, as an expiry does.

        Args:
            topic: Name of the topic.
            keep: The number of newest events that are kept.

        """
        history = self._history.get(topic, deque())
        while len(history) > keep:
            history.popleft()

    async def _ask(self) -> None:
        await self.asked()
        if self.unavailable:
            raise RedisUnavailable("Redis is unavailable")


def mark_after(after: str, event_id: str) -> str:
    """Return the mark that append.lua would compute."""
    return sha1((after + event_id).encode(), usedforsecurity=False).hexdigest()[:12]


async def _at_once() -> None:
    return
