"""Presence in Redis. Every step that must happen once is a script; clocks are Redis's own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tidewire import metrics
from tidewire.families import family
from tidewire.keys import Keys
from tidewire.presence import Hold, Members
from tidewire.redis import reached, script

# A sweep does so much at a time, so that a node's death never blocks Redis or the loop for long.
SWEEP_HOLDS = 500
# An index remembers this many of its topics, the most recently changed.
INDEX_LENGTH = 10_000


class RedisPresence:
    """The interface `Presence` over Redis.

    `indexes` maps the family of a topic (`document` of `document.plan`) to the index topic that
    shows all of the family (`documents`).
    """

    def __init__(self, keys: Keys, *, lease_seconds: float, grace_seconds: float, indexes: Mapping[str, str]) -> None:
        self._keys = keys
        self._grace_ms = int(grace_seconds * 1000)
        # The grace runs inside the lease: a ghost is gone by the end of both.
        self._lease_ms = int(lease_seconds * 1000) - self._grace_ms
        self._indexes = indexes

    async def touch(self, node: str, *, register: bool = False) -> bool:
        known, _, _ = await self._touch(node, register=register)
        return known

    async def put(self, node: str, counts: Iterable[tuple[Hold, int]]) -> tuple[bool, set[str]]:
        counts = list(counts)
        keys = self._keys
        async with reached() as redis, redis.pipeline(transaction=False) as pipe:
            hold_script = script("hold")
            for hold, count in counts:
                index = self._index(hold.topic)
                await hold_script(
                    keys=[
                        keys.nodes,
                        keys.holds(node),
                        keys.deadlines,
                        keys.versions,
                        keys.holders(hold.topic),
                        keys.members(hold.topic, hold.phase),
                        keys.changed(index),
                    ],
                    args=[node, *hold, count, self._grace_ms, index],
                    client=pipe,
                )
            results = await pipe.execute()
        changed = self._with_indexes(
            hold.topic for (hold, _), result in zip(counts, results, strict=True) if result == 1
        )
        return -1 not in results, changed

    async def sweep(self) -> set[str]:
        changed: set[str] = set()
        while True:
            _, ended, due = await self._touch("")
            for node in ended:
                await self._release(node)
            changed |= await self._leave([Hold.of(key) for key in due])
            if len(due) < SWEEP_HOLDS:
                return changed

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        async with reached() as redis, redis.pipeline(transaction=False) as pipe:
            for topic, phase in asked:
                key = self._keys.members(topic, phase)
                pipe.zcard(key)
                # Redis counts from the end below zero: an empty range has to be asked for as one.
                first, last = (1, 0) if names == 0 else (0, max(names, 0) - 1)
                pipe.zrange(key, first, last)
            results = await pipe.execute()
        return [Members(count, tuple(found)) for count, found in zip(results[::2], results[1::2], strict=True)]

    async def versions(self, topics: Sequence[str]) -> list[int]:
        if not topics:
            return []
        async with reached() as redis:
            found: list[Any] = await redis.hmget(self._keys.versions, list(topics))
        return [int(version or 0) for version in found]

    async def changed(self, index: str, since: int) -> list[str]:
        async with reached() as redis:
            topics = await redis.zrangebyscore(self._keys.changed(index), f"({since}", "+inf")
        return [str(topic) for topic in topics]

    def _index(self, topic: str) -> str:
        return self._indexes.get(family(topic), "")

    def _with_indexes(self, topics: Iterable[str]) -> set[str]:
        changed = set(topics)
        return changed | {index for topic in changed if (index := self._index(topic))}

    async def _touch(self, node: str, *, register: bool = False) -> tuple[bool, list[str], list[str]]:
        async with reached():
            known, ended, due = await script("touch")(
                keys=[self._keys.nodes, self._keys.deadlines],
                args=[node, self._lease_ms, int(register), SWEEP_HOLDS],
            )
        return bool(known), ended, due

    async def _leave(self, holds: Sequence[Hold]) -> set[str]:
        if not holds:
            return set()
        keys = self._keys
        async with reached() as redis, redis.pipeline(transaction=False) as pipe:
            leave_script = script("leave")
            indexes = {self._index(hold.topic) for hold in holds} - {""}
            for hold in holds:
                index = self._index(hold.topic)
                await leave_script(
                    keys=[
                        keys.deadlines,
                        keys.versions,
                        keys.holders(hold.topic),
                        keys.members(hold.topic, hold.phase),
                        keys.changed(index),
                    ],
                    args=[*hold, index],
                    client=pipe,
                )
            for index in indexes:
                pipe.zremrangebyrank(keys.changed(index), 0, -INDEX_LENGTH - 1)
            results = await pipe.execute()
        return self._with_indexes(
            hold.topic for hold, left in zip(holds, results[: len(holds)], strict=True) if left == 1
        )

    async def _release(self, node: str) -> None:
        keys = self._keys
        async with reached() as redis:
            release_script = script("release")
            async for fields in _scan(redis, keys.holds(node)):
                async with redis.pipeline(transaction=False) as pipe:
                    for hold in map(Hold.of, fields):
                        await release_script(
                            keys=[keys.nodes, keys.holds(node), keys.deadlines, keys.holders(hold.topic)],
                            args=[node, *hold, self._grace_ms],
                            client=pipe,
                        )
                    # Each hold is given up once, whichever nodes are at it.
                    metrics.GHOSTS.inc(sum(await pipe.execute()))
            forgotten = await script("forget")(keys=[keys.nodes, keys.holds(node)], args=[node])
            metrics.LEASES_EXPIRED.inc(forgotten)


async def _scan(redis: Any, key: str) -> Any:
    cursor = 0
    while True:
        cursor, fields = await redis.hscan(key, cursor, count=SWEEP_HOLDS)
        if fields:
            yield list(fields)
        if cursor == 0:
            return
