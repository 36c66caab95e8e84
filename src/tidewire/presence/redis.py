"""Presence in Redis. Each step that must be atomic is a script; times are those of Redis's clock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tidewire import metrics
from tidewire.conf import settings
from tidewire.families import family
from tidewire.presence import TAG_BITS, Members, Presence, PresenceKey, Touched, version_number
from tidewire.presence.witness import Witness
from tidewire.redis.clients import redis_client, script
from tidewire.redis.connections import after_write
from tidewire.redis.keys import Keys
from tidewire.substitutes import substitute

# Number of entries per sweep, so that a node's death never blocks Redis or the event loop for long.
SWEEP_ENTRIES = 500
# No open page can have a version of this age.
PRUNE_AFTER_SECONDS = 7 * 86_400.0
# Maximum number of rounds per sweep, so that a node that sweeps for many nodes still renews its own lease in time.
SWEEPS = 20
# Interval at which each member is compared with the nodes' entries: 10 us of Redis per member and minute.
AUDIT_MS = 60_000


class RedisPresence:
    """The interface `Presence` over Redis.

    `indexes` maps the family of a topic (`document` of `document.plan`) to the index topic that
    shows all of the family (`documents`).
    """

    def __init__(self, keys: Keys, *, lease_seconds: float, grace_seconds: float, indexes: Mapping[str, str]) -> None:
        self._keys = keys
        self._grace_ms = int(grace_seconds * 1000)
        # The grace is part of the lease time: a ghost is removed at the end of both.
        self._lease_ms = int(lease_seconds * 1000) - self._grace_ms
        self._indexes = indexes

    async def touch(self, node: Witness) -> Touched:
        number = node.next()
        touched = await self._touch(node, number)
        after_write()
        if touched.known:
            node.acknowledge(number)
        return Touched(touched.known, touched.entries)

    async def put(self, node: Witness, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        counts = list(counts)
        keys, number = self._keys, node.next()
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            put_script = script("put")
            for key, count in counts:
                index = self._index(key.topic)
                await put_script(
                    keys=[
                        keys.nodes,
                        keys.node_connections(node.name),
                        keys.deadlines,
                        keys.audits,
                        keys.witness(node.name),
                        keys.versions,
                        keys.members(key.topic, key.phase),
                        keys.changed(index),
                        keys.lineage(index),
                        keys.busy(index),
                    ],
                    args=[
                        node.name,
                        *key,
                        count,
                        self._grace_ms,
                        AUDIT_MS,
                        node.acknowledged,
                        number,
                        index,
                    ],
                    client=pipe,
                )
            results = await pipe.execute()
        if -1 in results:
            return False, set()
        node.acknowledge(number)
        return True, self._with_indexes(
            key.topic for (key, _), result in zip(counts, results, strict=True) if result == 1
        )

    async def end(self, names: Sequence[str]) -> None:
        async with redis_client() as redis:
            await redis.zadd(self._keys.nodes, dict.fromkeys(names, 0), xx=True)

    async def sweep(self) -> set[str]:
        changed: set[str] = set()
        for _ in range(SWEEPS):
            touched = await self._touch()
            for node in touched.ended:
                await self._release(node)
            changed |= await self._leave([PresenceKey.parse(text) for text in touched.due])
            if len(touched.due) < SWEEP_ENTRIES:
                break
        return changed

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            for topic, phase in asked:
                key = self._keys.members(topic, phase)
                pipe.zcard(key)
                # Redis counts negative indexes from the end, so an empty range needs limits of its own.
                first, last = (1, 0) if names == 0 else (0, max(names, 0) - 1)
                pipe.zrange(key, first, last)
            results = await pipe.execute()
        return [
            Members(count, tuple(first_names)) for count, first_names in zip(results[::2], results[1::2], strict=True)
        ]

    async def versions(self, topics: Sequence[str]) -> list[int]:
        if not topics:
            return []
        async with redis_client() as redis, redis.pipeline(transaction=True) as pipe:
            for key in (self._keys.versions, self._keys.tags):
                pipe.hmget(key, list(topics))
            numbers, tags = await pipe.execute()
        return [int(number or 0) << TAG_BITS | int(tag or "0", 16) for number, tag in zip(numbers, tags, strict=True)]

    async def changed(self, index: str, since: int) -> list[str] | None:
        if since == 0:
            async with redis_client() as redis:
                busy = await redis.smembers(self._keys.busy(index))
            return sorted({str(entry).partition("|")[0] for entry in busy})
        number, tag = version_number(since), f"{since & (1 << TAG_BITS) - 1:08x}"
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            pipe.zscore(self._keys.lineage(index), tag)
            pipe.zrangebyscore(self._keys.changed(index), f"({number}", "+inf")
            known, topics = await pipe.execute()
        if known != number:
            return None
        return [str(topic) for topic in topics]

    async def prune(self, *, older_seconds: float = PRUNE_AFTER_SECONDS) -> int:
        """Remove the versions of topics that have not changed for this long. Returns their number."""
        versions, tags = self._keys.versions, self._keys.tags
        cursor, pruned = 0, 0
        for scanned in (versions, tags):
            while True:
                async with redis_client():
                    cursor, some = await script("prune_versions")(
                        keys=[scanned, versions, tags], args=[int(cursor), int(older_seconds * 1000), SWEEP_ENTRIES]
                    )
                pruned += int(some)
                if int(cursor) == 0:
                    break
        return pruned

    def _index(self, topic: str) -> str:
        return self._indexes.get(family(topic), "")

    def _with_indexes(self, topics: Iterable[str]) -> set[str]:
        changed = set(topics)
        return changed | {index for topic in changed if (index := self._index(topic))}

    async def _touch(self, node: Witness | None = None, number: int = 0) -> "_Found":
        name, acknowledged = (node.name, node.acknowledged) if node else ("", 0)
        keys = self._keys
        async with redis_client():
            known, entries, ended, due = await script("touch")(
                keys=[keys.nodes, keys.deadlines, keys.audits, keys.witness(name), keys.node_connections(name)],
                args=[name, self._lease_ms, self._grace_ms, AUDIT_MS, acknowledged, number, SWEEP_ENTRIES],
            )
        return _Found(bool(known), entries, ended, due)

    async def _leave(self, presence_keys: Sequence[PresenceKey]) -> set[str]:
        if not presence_keys:
            return set()
        keys = self._keys
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            leave_script = script("leave")
            for key in presence_keys:
                index = self._index(key.topic)
                await leave_script(
                    keys=[
                        keys.nodes,
                        keys.deadlines,
                        keys.audits,
                        keys.versions,
                        keys.members(key.topic, key.phase),
                        keys.changed(index),
                        keys.lineage(index),
                        keys.busy(index),
                    ],
                    args=[*key, AUDIT_MS, index, keys.node_connections("")],
                    client=pipe,
                )
            results = await pipe.execute()
        return self._with_indexes(key.topic for key, left in zip(presence_keys, results, strict=True) if left == 1)

    async def _release(self, node: str) -> None:
        keys = self._keys
        async with redis_client() as redis:
            release_script = script("release")
            async for entries in _scan(redis, keys.node_connections(node)):
                async with redis.pipeline(transaction=False) as pipe:
                    for key in map(PresenceKey.parse, entries):
                        await release_script(
                            keys=[keys.nodes, keys.node_connections(node), keys.deadlines],
                            args=[node, *key, self._grace_ms],
                            client=pipe,
                        )
                    # Each entry is released once, however many nodes sweep concurrently.
                    released = await pipe.execute()
                metrics.GHOSTS.inc(sum(released))
                connections = zip(entries.values(), released, strict=True)
                metrics.PRESENCE_CONNECTIONS_LOST.inc(sum(int(count) for count, is_mine in connections if is_mine))
            removed = await script("remove_node")(
                keys=[keys.nodes, keys.node_connections(node), keys.witness(node)], args=[node]
            )
            metrics.LEASES_EXPIRED.inc(removed)


class _Found(NamedTuple):
    known: bool
    entries: int
    # Nodes with an ended lease, and entries with a deadline or audit that is due.
    ended: list[str]
    due: list[str]


async def _scan(redis: Any, key: str) -> Any:
    cursor = 0
    while True:
        cursor, entries = await redis.hscan(key, cursor, count=SWEEP_ENTRIES)
        if entries:
            yield dict(entries)
        if cursor == 0:
            return


def presence_store() -> Presence:
    """Return the presence store under the configured prefix."""
    store: Presence | None = substitute("presence")
    return redis_presence() if store is None else store


def redis_presence() -> RedisPresence:
    """Return the presence store in Redis."""
    options = settings()
    return RedisPresence(
        Keys(options.PREFIX),
        lease_seconds=options.LEASE_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        indexes=options.PRESENCE_INDEXES,
    )
