"""Streams in Redis: append an event once, read events after a position, return a topic's end."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoScriptError, OutOfMemoryError, ReadOnlyError, ResponseError

from tidewire.conf import settings
from tidewire.redis.clients import redis_client, script
from tidewire.redis.keys import Keys
from tidewire.streams import Appended, Encoded, Entry, Stamp, Streams
from tidewire.substitutes import substitute
from tidewire.topics import Position

# The fields of the hash with a topic's position.
POSITION = ("epoch", "offset", "mark")

# Topic, id of the event before these in their batch or "", events.
_Chunks = Sequence[tuple[str, str, Sequence[Encoded]]]

# Redis blocks other clients during a script: 5 ms for this many events.
SCRIPT_EVENTS = 100


class RedisStreams:
    """The interface `Streams` over Redis, under one prefix."""

    def __init__(self, keys: Keys, *, length: int, seconds: float) -> None:
        self._keys = keys
        self._length = length
        self._milliseconds = int(seconds * 1000)

    async def append(self, event: Encoded) -> Appended:
        """Append the event, once by its id, however often the call is repeated."""
        async with redis_client():
            return self._appended(
                await script("append")(keys=self._stream_keys(event.topic), args=self._args([event]))
            )[0]

    async def append_all(self, batch: Mapping[str, Sequence[Encoded]]) -> dict[str, list[Appended] | ResponseError]:
        """Append the events of several topics in one round trip, those of a topic in their order.

        A topic that Redis refuses (such as a key of another type) gets the error as its result; the others are
        appended.
        """
        chunks = [
            (topic, events[first - 1].id if first else "", events[first : first + SCRIPT_EVENTS])
            for topic, events in batch.items()
            for first in range(0, len(events), SCRIPT_EVENTS)
        ]
        async with redis_client() as redis:
            append = script("append")
            replies = await self._append_chunks(redis, append.sha, chunks)
            if any(isinstance(answer, NoScriptError) for answer in replies):
                await redis.script_load(append.script)
                # Events appended before the error are now repeats.
                replies = await self._append_chunks(redis, append.sha, chunks)
            for answer in replies:
                if isinstance(answer, Exception) and not _is_topic_error(answer):
                    raise answer
        results: dict[str, list[Appended] | ResponseError] = {}
        for (topic, _, _), answer in zip(chunks, replies, strict=True):
            before = results.setdefault(topic, [])
            if isinstance(answer, ResponseError):
                results[topic] = answer
            elif isinstance(before, list):
                before += self._appended(answer)
        return results

    async def _append_chunks(self, redis: Redis, sha: str, chunks: _Chunks) -> list[Any]:
        async with redis.pipeline(transaction=False) as pipe:
            for topic, before, events in chunks:
                keys, args = self._stream_keys(topic), self._args(events, before)
                # Without the script object, because in a pipeline it would check each time that Redis knows the script.
                pipe.evalsha(sha, len(keys), *keys, *args)
            return list(await pipe.execute(raise_on_error=False))

    def _stream_keys(self, topic: str) -> list[str]:
        return [self._keys.stream(topic), self._keys.position(topic), self._keys.seen(topic)]

    def _args(self, events: Sequence[Encoded], before: str = "") -> list[str | int]:
        args: list[str | int] = [self._length, self._milliseconds, uuid.uuid4().hex[:12], before]
        for event in events:
            args += [event.id, event.body, "" if event.sequence is None else event.sequence]
        return args

    def _appended(self, answer: str) -> list[Appended]:
        epoch, last, mark, *results = answer.split(" ")
        appended = []
        for result, offset, at in zip(results[::3], results[1::3], results[2::3], strict=True):
            after, mark = (mark, at) if result == "1" else ("", mark)
            stream_sequence = int(last) if result == "-1" else None
            appended.append(Appended(result == "1", Position(epoch, int(offset), at), after, stream_sequence))
        return appended

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        """Return the end of each topic; None if no event was ever appended, or the topic's key has another type.

        The topics of many feeds share a call: an unreadable one must not affect the others.
        """
        if not topics:
            return []
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.hmget(self._keys.position(topic), POSITION)
            replies = await pipe.execute(raise_on_error=False)
            for answer in replies:
                if isinstance(answer, Exception) and not _has_another_type(answer):
                    raise answer
        return [None if isinstance(answer, Exception) else _position(answer) for answer in replies]

    async def stamp(self, topic: str) -> Stamp:
        """Return the topic's end and, atomically, Redis's time. Begins the topic's epoch if it has none."""
        async with redis_client():
            epoch, offset, mark, at_ms = await script("stamp")(
                keys=self._stream_keys(topic), args=[uuid.uuid4().hex[:12]]
            )
        return Stamp(Position(epoch, int(offset), mark), int(at_ms))

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[Entry]]:
        """Return the topic's end and, atomically, its events after an offset.

        Events are oldest first; events that history no longer contains are missing.
        """
        async with redis_client() as redis, redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._keys.position(topic), POSITION)
            pipe.xrange(self._keys.stream(topic), min=f"({since}-0", max="+", count=limit)
            fields, entries = await pipe.execute()
        return _position(fields), [_entry(entry, event) for entry, event in entries]


def _entry(entry: str, event: Mapping[str, str]) -> Entry:
    return Entry(int(entry.partition("-")[0]), event.get("mark", ""), event.get("after", ""), event["body"])


def _position(fields: Sequence[str | None]) -> Position | None:
    epoch, offset, mark = fields
    return Position(epoch, int(offset or 0), mark or "") if epoch else None


# Errors of the whole server rather than a topic: redis-py has classes for some of them only.
_SERVER_ERRORS = (ReadOnlyError, OutOfMemoryError, AuthenticationError)
_SERVER_ERROR_PREFIXES = ("MISCONF", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "NOAUTH", "UNKILLABLE")


def _has_another_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")


def _is_topic_error(error: Exception) -> bool:
    if not isinstance(error, ResponseError) or isinstance(error, _SERVER_ERRORS):
        return False
    return not str(error).startswith(_SERVER_ERROR_PREFIXES)


def stream_store() -> Streams:
    """Return the streams under the configured prefix."""
    store: Streams | None = substitute("streams")
    if store is not None:
        return store
    options = settings()
    return RedisStreams(Keys(options.PREFIX), length=options.HISTORY_LENGTH, seconds=options.HISTORY_SECONDS)
