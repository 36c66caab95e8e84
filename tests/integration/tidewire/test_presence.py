"""Presence in Redis keeps what presence promises, and keeps it by Redis's own clock."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import tidewire.redis
from tests.integration.tidewire.conftest import pass_time
from tests.unit.tidewire.presence_model import Model, scripts
from tests.unit.tidewire.presence_suite import GRACE_SECONDS, INDEXES, LEASE_SECONDS, Place, PresenceSuite
from tidewire.keys import Keys
from tidewire.presence.redis import RedisPresence


def store(*, lease_seconds: float = LEASE_SECONDS, grace_seconds: float = GRACE_SECONDS) -> RedisPresence:
    return RedisPresence(Keys("t"), lease_seconds=lease_seconds, grace_seconds=grace_seconds, indexes=INDEXES)


class InRedis(Place):
    def __init__(self, client) -> None:
        self.client = client
        self.presence = store()
        self.passed = 0.0

    async def now(self) -> float:
        seconds, microseconds = await self.client.time()
        return seconds + microseconds / 1e6 + self.passed

    async def pass_time(self, seconds: float) -> None:
        self.passed += seconds
        await pass_time(self.client, self.presence, seconds)

    async def next_moment(self) -> None:
        now = await self.client.time()
        while (await self.client.time())[1] // 1000 == now[1] // 1000:
            pass

    async def flush(self) -> None:
        await self.client.flushall()


class TestRedisPresence(PresenceSuite):
    @pytest.fixture
    async def place(self, redis):
        return InRedis(redis)


# Without shrinking, which would take minutes: memory plays the same scripts, and shrinks them.
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(scripts)
def test_members_are_who_is_connected(redis_server, script):
    """The same scripts that memory plays, in Redis."""

    async def play() -> None:
        client = tidewire.redis.client()
        try:
            await client.flushall()
            await Model(InRedis(client)).play(script)
        finally:
            await tidewire.redis.close()

    asyncio.run(play())
