"""Fakes for parts that do I/O: a socket's writer, the streams in Redis, a consumer's life in the node."""

import json
import time
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha1
from typing import Any, Literal
from uuid import UUID, uuid4

from redis.exceptions import ResponseError

from tidewire._inbound import InboundLimits
from tidewire.close_codes import CloseCode
from tidewire.connection import Connection
from tidewire.events import StateEvent, StreamEvent
from tidewire.exceptions import RedisUnavailable
from tidewire.feeds import START
from tidewire.frames import Frame, frame
from tidewire.presence import Presence
from tidewire.streams import Appended, Encoded, Entry, Stamp
from tidewire.topics import Position, StateTopic

LIMIT = 1000
# Limits of a server's sockets for tests that do not test limits.
NO_LIMITS = InboundLimits(message_bytes=10**9, frames_per_second=10**9, handshakes=10**9)


# Messages of Daphne, as `tests/contract/test_asgi_messages.py` records them from a real one: the end of a socket.
ENDS: dict[str, dict[str, Any]] = {
    "close()": {"type": "websocket.disconnect", "code": None},
    "close(1000)": {"type": "websocket.disconnect", "code": 1000},
    "close(1001)": {"type": "websocket.disconnect", "code": 1001},
    "close(3000, reason)": {"type": "websocket.disconnect", "code": 3000},
    "reset": {"type": "websocket.disconnect", "code": 1006},
    "vanish": {"type": "websocket.disconnect", "code": 1006},
}
# Messages of a client before the end of its socket.
MESSAGES: dict[str, dict[str, Any]] = {
    "text": {"type": "websocket.receive", "text": "hello"},
    "empty text": {"type": "websocket.receive", "text": ""},
    "bytes": {"type": "websocket.receive", "bytes": b"hello"},
    "empty bytes": {"type": "websocket.receive", "bytes": b""},
}


class Said(StreamEvent):
    """A stream event of the tests."""

    type: Literal["test.said"] = "test.said"
    topic: str = "talk"
    text: str


class Here(StateEvent):
    """A state event of the tests: the users on a topic."""

    type: Literal["test.here"] = "test.here"
    names: tuple[str, ...]


class Joined(StateEvent):
    """The changes since the version that a client has."""

    type: Literal["test.joined"] = "test.joined"
    count: int


@dataclass(frozen=True)
class Hall(StateTopic):
    """A state topic of the tests. If `changes` is set, it publishes changes in a smaller event than the whole value."""

    changes: bool = False

    async def read(self, presence: Presence, version: int) -> Here:
        [members] = await presence.members([(self.name, "in")], names=-1)
        return Here(topic=self.name, version=version, names=members.names)

    async def read_changes(self, presence: Presence, since: int, version: int) -> StateEvent:
        whole = await self.read(presence, version)
        return Joined(topic=self.name, version=version, count=len(whole.names)) if self.changes else whole

    def merge(self, value: StateEvent, change: StateEvent) -> StateEvent:
        if not isinstance(change, Joined):
            return change
        assert isinstance(value, Here)
        return Here(topic=value.topic, version=change.version, names=(*value.names[: change.count - 1], "latest"))


class FakeWriter:
    """Records frames. A full writer exceeds any limit until it is drained. `accepts`: offers before it becomes full."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.writes: list[list[Frame]] = []
        self.full = False
        self.accepts = -1
        self.broken = False
        self.was_aborted = False

    @property
    def backlog(self) -> int:
        return LIMIT + 1 if self.full else 0

    def write(self, frames: list[Frame], wire: bytes) -> None:
        if self.broken:
            raise ConnectionResetError("the socket is broken")
        assert wire == b"".join(frame(each.text).wire for each in frames)
        self.writes.append(list(frames))
        self.frames.extend(frames)

    def try_write(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        self.full |= self.accepts == 0
        self.accepts -= 1
        if self.backlog and self.backlog + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def abort(self) -> None:
        self.was_aborted = True


class FakeSocket:
    """A connection with a fake writer, and the events that its client would have read."""

    def __init__(self, *, user: str = "1") -> None:
        self.writer = FakeWriter()
        self.closed: list[CloseCode] = []
        self.became_full = 0
        self.connection = Connection(
            self.writer,
            consumer="FakeConsumer",
            user=user,
            session="",
            limit=LIMIT,
            close=self.closed.append,
            on_full=lambda _: self._full(),
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(each.text) for each in self.writer.frames]

    def take(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        events = self.events
        self.writer.frames.clear()
        self.writer.writes.clear()
        return events

    def drain(self) -> None:
        self.writer.full = False
        self.writer.accepts = -1
        assert self.connection.has_room_again()

    def _full(self) -> None:
        self.became_full += 1


class MemoryStreams:
    """`Streams` in memory, with faults: `unavailable`, a flush, a trimmed or lost history.

    `asked` is awaited before and after each request, so that a test can change the streams in between.
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
        after, mark = end.mark, _mark(end.mark, event.id)
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
        found = [entry for entry in self._history.get(topic, ()) if entry.offset > since][:limit]
        end = self._ends.get(topic)
        await self.asked()
        return end, found

    def end(self, topic: str) -> Position | None:
        return self._ends.get(topic)

    def place(self, topic: str, offset: int) -> Position:
        """Return the position at an offset. Its mark is empty if history does not have the event."""
        epoch = self._ends[topic].epoch if topic in self._ends else START.epoch
        marks = {entry.offset: entry.mark for entry in self._history.get(topic, ())}
        return Position(epoch, offset, marks.get(offset, ""))

    def flush(self) -> None:
        """Delete everything, as FLUSHALL does."""
        self._ends.clear()
        self._history.clear()

    def roll_back(self, topic: str, events: int) -> None:
        """Remove the last events, as when a replica without them becomes the primary."""
        history = self._history.get(topic, deque())
        for _ in range(min(events, len(history))):
            lost = history.pop()
            self._ends[topic] = Position(self._ends[topic].epoch, lost.offset - 1, lost.after)
            self._seen[topic] = {name: at for name, at in self._seen[topic].items() if at < lost.offset}

    def lose_history(self, topic: str, *, keep: int = 0) -> None:
        """Delete the history but not the position, as an expiry does."""
        history = self._history.get(topic, deque())
        while len(history) > keep:
            history.popleft()

    async def _ask(self) -> None:
        await self.asked()
        if self.unavailable:
            raise RedisUnavailable("Redis is unavailable")


def place(offset: int, epoch: str = "e1", *, first: int = 1) -> Position:
    """Return a position in a topic with consecutive numbers as the ids of its events."""
    mark = ""
    for number in range(first, first + offset):
        mark = _mark(mark, str(UUID(int=number)))
    return Position(epoch, offset, mark)


def _mark(after: str, event_id: str) -> str:
    """Return the mark that append.lua would compute."""
    return sha1((after + event_id).encode(), usedforsecurity=False).hexdigest()[:12]


async def _at_once() -> None:
    return


def step(work: Coroutine[Any, Any, Any]) -> bool:
    """Run a coroutine without a loop until it waits. Returns False if it has ended."""
    try:
        work.send(None)
    except StopIteration:
        return False
    return True


def finish(work: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine to its end."""
    while step(work):
        pass


@types.coroutine
def paused() -> Generator[None, None, None]:
    """Wait once, until the coroutine is resumed by `step`."""
    yield
