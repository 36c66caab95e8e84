"""Batches the reads of many feeds: all reads of one turn of the event loop, or during a call, share a round trip.

Reading ten thousand topics again after an outage then costs a few dozen round trips.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from tidewire.presence import Members, Presence, PresenceKey, Touched
from tidewire.presence.witness import Witness
from tidewire.streams import Entry, Streams
from tidewire.topics import Position

Key = TypeVar("Key")
Value = TypeVar("Value")

# Number of keys per pipeline, which takes a few milliseconds of the event loop.
BATCH_KEYS = 500


class BatchedRead(Generic[Key, Value]):
    """Calls `read` with the keys of several callers. All of them get its exception."""

    def __init__(self, read: Callable[[Sequence[Key]], Awaitable[Sequence[Value]]]) -> None:
        self._read = read
        self._waiting: deque[tuple[Sequence[Key], asyncio.Future[Sequence[Value]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, keys: Sequence[Key]) -> list[Value]:
        """Return the values, in the order of the keys."""
        values: asyncio.Future[Sequence[Value]] = asyncio.get_running_loop().create_future()
        self._waiting.append((keys, values))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return list(await values)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._read_some()
        finally:
            self._task = None

    async def _read_some(self) -> None:
        taken: list[tuple[Sequence[Key], asyncio.Future[Sequence[Value]]]] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0][0]) <= BATCH_KEYS):
            taken.append(self._waiting.popleft())
            count += len(taken[-1][0])
        try:
            values = await self._read([key for keys, _ in taken for key in keys])
        except Exception as error:  # noqa: BLE001  # any exception is passed on to the callers
            for _, caller in taken:
                if not caller.done():
                    caller.set_exception(error)
            return
        except BaseException:
            for _, caller in taken:
                caller.cancel()
            raise
        first = 0
        for keys, caller in taken:
            if not caller.done():
                caller.set_result(values[first : first + len(keys)])
            first += len(keys)


class BatchedPresence:
    """`Presence` for the feeds of a node, with batched reads."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._versions: BatchedRead[str, int] = BatchedRead(self._read_versions)
        self._members: dict[int, BatchedRead[tuple[str, str], Members]] = {}

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        if names not in self._members:
            # A project has few distinct values of `names`, each of them in its source code.
            self._members[names] = BatchedRead(lambda keys: self._presence.members(keys, names=names))
        return await self._members[names](asked)

    async def _read_versions(self, topics: Sequence[str]) -> list[int]:
        return await self._presence.versions(topics)

    async def versions(self, topics: Sequence[str]) -> list[int]:
        return await self._versions(topics)

    async def touch(self, node: Witness) -> Touched:
        return await self._presence.touch(node)

    async def end(self, names: Sequence[str]) -> None:
        await self._presence.end(names)

    async def put(self, node: Witness, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        return await self._presence.put(node, counts)

    async def sweep(self) -> set[str]:
        return await self._presence.sweep()

    async def changed(self, index: str, since: int) -> list[str] | None:
        return await self._presence.changed(index, since)


class BatchedStreams:
    """The reads of `Streams` for the feeds of a node; the ends of topics are read in batches."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._ends: BatchedRead[str, Position | None] = BatchedRead(self._read_ends)

    async def _read_ends(self, topics: Sequence[str]) -> list[Position | None]:
        return await self._streams.ends(topics)

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        return await self._ends(topics)

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[Entry]]:
        return await self._streams.read(topic, since, limit=limit)
