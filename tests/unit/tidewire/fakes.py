"""Fakes for parts that do I/O: a socket's writer, and its client. `tidewire.testing` has the stores in memory."""

import json
import types
from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from tidewire.close_codes import CloseCode
from tidewire.events import StateEvent, StreamEvent
from tidewire.fanout.connection import Connection
from tidewire.fanout.frames import Frame, frame
from tidewire.presence import Presence
from tidewire.server.inbound import InboundLimits
from tidewire.testing.streams import mark_after
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


def place(offset: int, epoch: str = "e1", *, first: int = 1) -> Position:
    """Return a position in a topic with consecutive numbers as the ids of its events."""
    mark = ""
    for number in range(first, first + offset):
        mark = mark_after(mark, str(UUID(int=number)))
    return Position(epoch, offset, mark)


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
