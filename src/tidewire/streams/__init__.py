"""Streams: the history of stream topics. The interface of `redis`, and of `tidewire.testing`.

Each event is appended once, by its id. Positions are Centrifugo's: see `tidewire.topics`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from redis.exceptions import ResponseError

from tidewire.events import StreamEvent
from tidewire.topics import Position

__all__ = ["Appended", "Encoded", "Entry", "Stamp", "StreamReads", "Streams"]


class Encoded(NamedTuple):
    """A stream event as stored: text that need not be decoded, whichever version of a project wrote it."""

    topic: str
    id: str
    body: str
    # The event's number in its topic, if the outbox has assigned one.
    sequence: int | None = None

    @classmethod
    def of(cls, event: StreamEvent, *, request_id: str | None = None) -> Self:
        """Return the event without the fields that are assigned at publishing: offset, mark and sequence number."""
        assigned = {"offset": None, "mark": None, "sequence": None, "request_id": request_id or event.request_id}
        return cls(event.topic, str(event.id), event.model_copy(update=assigned).encode())


class Entry(NamedTuple):
    """An event read from history. `mark` is a digest of all events up to it, `after` of those before it."""

    offset: int
    mark: str
    after: str
    body: str


@dataclass(frozen=True)
class Appended:
    """The result of appending an event: `new` is False if its id was known already."""

    new: bool
    position: Position
    # The mark of the preceding event, if this one is new.
    after: str = ""
    # The topic's sequence number if the stream is beyond the event's own and does not know its id, else None.
    stream_sequence: int | None = None


class Stamp(NamedTuple):
    """The end of a topic at a time: `at_ms` is in milliseconds since 1970, by Redis's clock."""

    position: Position
    at_ms: int


class StreamReads(Protocol):
    """The reads that a feed needs. Both methods may raise `RedisUnavailable`."""

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        """Return the end of each topic; None if no event was ever appended."""

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[Entry]]:
        """Return the topic's end and, atomically, its events after an offset, oldest first."""


class Streams(StreamReads, Protocol):
    """History of the stream topics. All methods may raise `RedisUnavailable`."""

    async def append(self, event: Encoded) -> Appended:
        """Append the event, once by its id, however often the call is repeated."""

    async def append_all(self, batch: Mapping[str, Sequence[Encoded]]) -> dict[str, list[Appended] | ResponseError]:
        """Append the events of several topics in one round trip, those of a topic in their order.

        A topic that Redis refuses (such as a key of another type) gets the error as its result; the others are
        appended.
        """

    async def stamp(self, topic: str) -> Stamp:
        """Return the topic's end and, atomically, Redis's time. Begins the topic's epoch if it has none."""
