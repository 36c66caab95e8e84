"""Edit leases in Redis have the guarantees of edit leases, by Redis's own clock."""

import asyncio

import pytest
from hypothesis import given

from tests.integration.tidewire.scripts_in_redis import FEW_EXAMPLES, run_with_client
from tests.unit.tidewire.contrib.edit_lease.edit_lease_model import LeaseModel, scripts
from tests.unit.tidewire.contrib.edit_lease.edit_lease_suite import (
    ANSWER_SECONDS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    TOPIC,
    LeasePlace,
    LeaseSuite,
)
from tidewire.contrib.edit_lease import EditLease, Editor, Move
from tidewire.contrib.edit_lease.redis import RedisEditLeases
from tidewire.exceptions import RedisUnavailable
from tidewire.redis.keys import Keys

KEYS = Keys("t")


def store(*, lease_seconds: float = LEASE_SECONDS, grace_seconds: float = GRACE_SECONDS) -> RedisEditLeases:
    return RedisEditLeases(
        KEYS, lease_seconds=lease_seconds, answer_seconds=ANSWER_SECONDS, grace_seconds=grace_seconds
    )


class InRedis(LeasePlace):
    def __init__(self, client) -> None:
        self.client = client
        self.leases = store()

    async def pass_time(self, seconds: float) -> None:
        """Simulate the passing of time: move all deadlines of edit leases nearer by this number of seconds."""
        for key in await self.client.keys(KEYS.edit_lease("*")):
            lease = await self.client.hgetall(key)
            for name in ("ends", "answer_by", "asks_until"):
                await self.client.hset(key, name, int(lease[name]) - int(seconds * 1000))

    async def flush(self) -> None:
        await self.client.flushall()

    async def version(self, topic: str = TOPIC) -> int:
        return int(await self.client.hget(KEYS.versions, topic) or 0)


class TestRedisEditLeases(LeaseSuite):
    @pytest.fixture
    async def place(self, redis):
        return InRedis(redis)

    async def test_of_many_who_come_at_once_one_has_it(self, place):
        """Fifty nodes try at once, each with its own call."""
        editors = [Editor(TOPIC, f"user{number}") for number in range(50)]
        moved = await asyncio.gather(*(store().move([Move("take", editor)]) for editor in editors))
        holders = [editor.member for editor, [result] in zip(editors, moved, strict=True) if result.is_holder]
        assert [(await place.read()).holder] == holders

    async def test_redis_s_own_clock_ends_it(self, redis):
        """The test waits in real time, with a short lease."""
        leases = store(lease_seconds=0.3, grace_seconds=0.1)
        ada, bob = Editor(TOPIC, "ada"), Editor(TOPIC, "bob")
        await leases.move([Move("take", ada)])
        began = await redis.time()
        async with asyncio.timeout(10):
            is_holder = False
            while not is_holder:
                [(is_holder, _)] = await leases.move([Move("touch", bob)])
        ended = await redis.time()
        assert ended[0] - began[0] + (ended[1] - began[1]) / 1e6 >= 0.29

    async def test_what_nobody_edits_is_forgotten(self, place):
        """The key of a lease must expire, because documents come and go by the thousand, but only after the lease."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        left_ms = await place.client.pttl(KEYS.edit_lease(TOPIC))
        assert (ANSWER_SECONDS + LEASE_SECONDS) * 1000 < left_ms <= (ANSWER_SECONDS + 2 * LEASE_SECONDS) * 1000

    async def test_every_key_is_under_the_prefix(self, place):
        """Two projects must be able to share one Redis."""
        await place.move("take", "ada")
        assert {key.partition(":")[0] for key in await place.client.keys("*")} == {"t"}

    async def test_redis_being_away_is_said(self, place, redis_server):
        """The error must be the one that callers handle."""
        redis_server.stop()
        with pytest.raises(RedisUnavailable):
            await place.move("take", "ada")
        with pytest.raises(RedisUnavailable):
            await place.read()
        redis_server.start()
        await place.move("take", "ada")
        assert await place.read() == EditLease("ada")


@FEW_EXAMPLES
@given(scripts)
def test_whoever_was_told_it_is_theirs_may_rely_on_it(redis_server, script):
    """Run the scripts of the tests in memory with Redis."""
    run_with_client(lambda client: LeaseModel(InRedis(client)).play(script))
