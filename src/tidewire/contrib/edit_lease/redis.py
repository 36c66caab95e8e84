"""Edit leases in Redis: each move is one script that uses Redis's clock."""

from collections.abc import Sequence

from tidewire.conf import settings
from tidewire.contrib.edit_lease import EditLease, EditLeases, Move, Moved
from tidewire.redis.clients import redis_client, script
from tidewire.redis.keys import Keys
from tidewire.substitutes import substitute


class RedisEditLeases:
    """The interface `EditLeases` over Redis. Versions are stored with those of presence, so the hub checks both."""

    def __init__(self, keys: Keys, *, lease_seconds: float, answer_seconds: float, grace_seconds: float) -> None:
        self._keys = keys
        self._times_ms = [int(seconds * 1000) for seconds in (lease_seconds, answer_seconds, grace_seconds)]

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        if not moves:
            return []
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            lease_script = script("edit_lease")
            for step, (topic, member), asker in moves:
                await lease_script(
                    keys=[self._keys.edit_lease(topic), self._keys.versions],
                    args=[step, topic, member, asker, *self._times_ms],
                    client=pipe,
                )
            results = await pipe.execute()
        return [Moved(bool(is_holder), bool(changed)) for is_holder, changed in results]

    async def read(self, topics: Sequence[str]) -> list[EditLease]:
        async with redis_client() as redis, redis.pipeline(transaction=False) as pipe:
            for topic in topics:
                pipe.hmget(self._keys.edit_lease(topic), "holder", "asker")
            results = await pipe.execute()
        return [EditLease(holder or None, asker or None) for holder, asker in results]


def edit_lease_store() -> EditLeases:
    """Return the store of edit leases under the configured prefix."""
    store: EditLeases | None = substitute("edit leases")
    if store is not None:
        return store
    options = settings()
    return RedisEditLeases(
        Keys(options.PREFIX),
        lease_seconds=options.EDIT_LEASE_SECONDS,
        answer_seconds=options.EDIT_ANSWER_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
    )
