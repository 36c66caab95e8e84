"""Batches the reads of many feeds: all reads of one turn of the event loop, or during a call, share a round trip.

Reading ten thousand topics again after an outage then costs a few dozen round trips.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from tidewire.presence import Members, Presence, PresenceKey, Touched
from tidewire.streams import Entry, Streams
from tidewire.topics import Position
from tidewire.witness import Witness

Question = TypeVar("Question")
Answer = TypeVar("Answer")

# Number of questions per pipeline, which takes a few milliseconds of the event loop.
QUESTIONS = 500


class Gathered(Generic[Question, Answer]):
    """Calls `ask` with the questions of several callers. All of them get its exception."""

    def __init__(self, ask: Callable[[Sequence[Question]], Awaitable[Sequence[Answer]]]) -> None:
        self._ask = ask
        self._waiting: deque[tuple[Sequence[Question], asyncio.Future[Sequence[Answer]]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, questions: Sequence[Question]) -> list[Answer]:
        """Return the answers, in the order of the questions."""
        answers: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.append((questions, answers))
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return list(await answers)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._ask_some()
        finally:
            self._task = None

    async def _ask_some(self) -> None:
        taken: list[tuple[Sequence[Question], asyncio.Future[Sequence[Answer]]]] = []
        count = 0
        while self._waiting and (not taken or count + len(self._waiting[0][0]) <= QUESTIONS):
            taken.append(self._waiting.popleft())
            count += len(taken[-1][0])
        try:
            answers = await self._ask([question for questions, _ in taken for question in questions])
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
        for questions, caller in taken:
            if not caller.done():
                caller.set_result(answers[first : first + len(questions)])
            first += len(questions)


class GatheredPresence:
    """`Presence` for the feeds of a node, with batched reads."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._versions: Gathered[str, int] = Gathered(self._ask_versions)
        self._members: dict[int, Gathered[tuple[str, str], Members]] = {}

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        if names not in self._members:
            # A project has few distinct values of `names`, each of them in its source code.
            self._members[names] = Gathered(lambda questions: self._presence.members(questions, names=names))
        return await self._members[names](asked)

    async def _ask_versions(self, topics: Sequence[str]) -> list[int]:
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


class GatheredStreams:
    """The reads of `Streams` for the feeds of a node; the ends of topics are read in batches."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._ends: Gathered[str, Position | None] = Gathered(self._ask_ends)

    async def _ask_ends(self, topics: Sequence[str]) -> list[Position | None]:
        return await self._streams.ends(topics)

    async def ends(self, topics: Sequence[str]) -> list[Position | None]:
        return await self._ends(topics)

    async def read(self, topic: str, since: int, *, limit: int) -> tuple[Position | None, list[Entry]]:
        return await self._streams.read(topic, since, limit=limit)
