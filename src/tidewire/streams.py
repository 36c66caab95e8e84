"""Streams in Redis: append an event once, read what follows a position, say where a topic ends."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from tidewire.events import StreamEvent
from tidewire.keys import Keys
from tidewire.redis import reached, script
from tidewire.topics import Position


class Encoded(NamedTuple):
    """A stream event as it is kept: as text that need not be read again, whichever version of a project wrote it."""

    topic: str
    id: str
    body: str

    @classmethod
    def of(cls, event: StreamEvent) -> Self:
        """The event without an offset, which is Redis's to assign."""
        return cls(event.topic, str(event.id), event.model_copy(update={"offset": None}).encode())


@dataclass(frozen=True)
class Appended:
    """What became of an event: `new` is False where its id was there before."""

    new: bool
    position: Position


class Streams:
    """History of the stream topics under one prefix. All methods may raise `NoRedis`."""

    def __init__(self, keys: Keys, *, length: int, seconds: float) -> None:
        self._keys = keys
        self._length = length
        self._milliseconds = int(seconds * 1000)

    async def append(self, event: Encoded) -> Appended:
        """Append the event, once by its id, however often it is tried."""
        topic = event.topic
        async with reached():
            new, epoch, offset = await script("append")(
                keys=[self._keys.stream(topic), self._keys.position(topic), self._keys.seen(topic)],
                args=[event.id, event.body, self._length, self._milliseconds, uuid.uuid4().hex[:12]],
            )
        return Appended(bool(new), Position(epoch, int(offset)))

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        """Where each topic ends; None where nothing was ever appended."""
        if not topics:
            return []
        async with reached() as redis, redis.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.hmget(self._keys.position(topic), "epoch", "offset")
            found = await pipe.execute()
        return [Position(epoch, int(offset)) if epoch else None for epoch, offset in found]

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[tuple[int, str]]]:
        """Where the topic ends and, of the same moment, its events after an offset.

        Events are (offset, body), oldest first; fewer than there were where history is shorter.
        """
        async with reached() as redis, redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._keys.position(topic), "epoch", "offset")
            pipe.xrange(self._keys.stream(topic), min=f"({since}-0", max="+", count=limit)
            (epoch, offset), entries = await pipe.execute()
        found = [(int(entry.partition("-")[0]), str(fields["body"])) for entry, fields in entries]
        return (Position(epoch, int(offset)) if epoch else None), found
