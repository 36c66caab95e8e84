"""Presence in Redis has the guarantees of presence, by Redis's own clock."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given, settings

import tidewire.redis.clients
from tests.integration.tidewire.conftest import pass_time
from tests.unit.tidewire.presence.presence_model import Model, scripts
from tests.unit.tidewire.presence.presence_suite import (
    ADA,
    BOB,
    DEAD_SECONDS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    PRESENCE_INDEXES,
    USERS,
    Place,
    PresenceSuite,
)
from tidewire import metrics
from tidewire.presence import PresenceKey
from tidewire.presence.redis import RedisPresence
from tidewire.presence.witness import Witness
from tidewire.redis.clients import script
from tidewire.redis.keys import Keys


def store(*, lease_seconds: float = LEASE_SECONDS, grace_seconds: float = GRACE_SECONDS) -> RedisPresence:
    return RedisPresence(Keys("t"), lease_seconds=lease_seconds, grace_seconds=grace_seconds, indexes=PRESENCE_INDEXES)


class InRedis(Place):
    def __init__(self, client) -> None:
        super().__init__()
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

    async def test_sweepers_at_the_same_time_take_each_member_off_once(self, place):
        """Whatever the order of their steps, a sweeper must not repeat the work of another."""
        presence_keys = [PresenceKey("doc.plan", "read", f"user{number}") for number in range(300)]
        await place.live("a", "b", "c")
        await place.put("a", *presence_keys)
        await place.put("b", *presence_keys[:100])
        await place.pass_time(DEAD_SECONDS + 1)
        await place.presence.sweep()
        await place.live("b")
        await place.put("b", *presence_keys[:100])
        sweepers = [store() for _ in range(4)]
        await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
        assert len(await place.names()) == 300
        version = await place.version()
        await place.pass_time(GRACE_SECONDS + 0.5)
        await place.touch_all(["b"])
        changed_topics = await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers))
        assert len(await place.names()) == 100
        assert any(changed_topics)
        assert await place.version() > version
        assert await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers)) == [set()] * 4

    async def test_two_who_release_a_dead_node_s_hold_release_it_once(self, place):
        """Both may have read that the dead node has the member; the living node's entry must not be released too."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.put("b", ADA)
        await place.outlive(DEAD_SECONDS - 0.5, "b")
        await place.pass_time(1.0)
        await place.touch_all(["b"])
        keys, node = Keys("t"), place.witness("a").name
        released = [
            await script("release")(
                keys=[keys.nodes, keys.node_connections(node), keys.deadlines],
                args=[node, *ADA, int(GRACE_SECONDS * 1000)],
            )
            for _ in range(2)
        ]
        assert released == [1, 0]
        assert await place.outlive(GRACE_SECONDS + 2, "b") == set()
        assert await place.names() == ("ada",)

    async def test_redis_s_own_clock_ends_leases_and_graces(self, redis):
        """In real time and with a short lease, a member must stay while its node touches, and leave soon after."""
        presence = store(lease_seconds=0.6, grace_seconds=0.2)
        first, second = Witness("a"), Witness("b")
        last_touch = await redis.time()
        await presence.touch(first)
        await presence.touch(second)
        await presence.put(first, [(ADA, 1)])
        await presence.put(second, [(BOB, 1)])
        told: set[str] = set()
        async with asyncio.timeout(10):
            while not told:
                if not (await presence.touch(second)).known:
                    second.renew()
                    await presence.touch(second)
                await presence.put(second, [(BOB, 1)])
                told = await presence.sweep()
                await asyncio.sleep(0.02)
        left = await redis.time()
        assert told == {"doc.plan", "docs"}
        assert [members.names for members in await presence.members([("doc.plan", "read")], names=9)] == [("bob",)]
        assert left[0] - last_touch[0] + (left[1] - last_touch[1]) / 1e6 >= 0.6

    async def test_every_key_of_presence_is_under_the_prefix(self, place):
        """Two projects must be able to share one Redis."""
        await place.live("a")
        await place.put("a", ADA, BOB)
        await place.put("a", ADA, count=0)
        assert {key.partition(":")[0] for key in await place.client.keys("*")} == {"t"}

    async def test_nothing_is_left_of_who_has_gone(self, place):
        """Topics come and go by the thousand: of a topic without members only the version may stay."""
        await place.live("a")
        await place.put("a", ADA, BOB)
        await place.put("a", ADA, BOB, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert sorted(await place.client.keys("*")) == [
            "t:changed:docs",
            "t:lineage:docs",
            "t:nodes",
            "t:versions",
            "t:versions:tags",
            f"t:witness:{place.witness('a').name}",
        ]

    async def test_the_versions_of_topics_that_are_no_longer_used_are_forgotten(self, place):
        """All data of such topics must be deleted, including the tags."""
        await place.live("a")
        await place.put("a", ADA, USERS)
        for version in await place.client.hgetall("t:versions"):
            if version != "users":
                await place.client.hset("t:versions", version, 1)
        assert await place.presence.prune() == 2
        assert set(await place.client.hgetall("t:versions")) == {"users"}
        assert set(await place.client.hgetall("t:versions:tags")) == {"users"}

    async def test_tags_whose_versions_were_evicted_are_forgotten(self, place):
        """Only the pruning can find them."""
        await place.live("a")
        await place.put("a", ADA, USERS)
        await place.client.hdel("t:versions", "doc.plan")
        await place.presence.prune()
        assert set(await place.client.hgetall("t:versions:tags")) == {"docs", "users"}

    async def test_a_lost_list_of_busy_topics_is_a_change_of_the_index(self, place):
        """Readers that read the list while it was lost must read it again when it is back."""
        await place.live("a")
        await place.put("a", ADA)
        await place.client.delete("t:busy:docs")
        assert await place.presence.changed("docs", 0) == []
        lost = await place.version("docs")
        changed_topics = await place.outlive(62.0, "a")
        assert await place.presence.changed("docs", 0) == ["doc.plan"]
        assert await place.presence.changed("docs", lost) == ["doc.plan"]
        assert "docs" in changed_topics
        assert await place.outlive(62.0, "a") == set()


# The tests in memory run the same scripts and shrink them. Shrinking here would take minutes.
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(scripts)
def test_members_are_who_is_connected(redis_server, script):
    """Run the scripts of the tests in memory with Redis."""

    async def play() -> None:
        client = tidewire.redis.clients.client()
        try:
            await client.flushall()
            await Model(InRedis(client)).play(script)
        finally:
            await tidewire.redis.clients.close()

    asyncio.run(play())


async def test_who_was_not_handed_over_is_counted_as_a_ghost_once(redis):
    """Concurrent sweeps must not count a ghost twice. A node that handed over leaves none; both leases are counted."""
    presence = store()
    ghosts, expired = metrics.GHOSTS._value.get(), metrics.LEASES_EXPIRED._value.get()
    lost = metrics.PRESENCE_CONNECTIONS_LOST._value.get()
    killed, drained = Witness("killed"), Witness("drained")
    for node in (killed, drained):
        await presence.touch(node)
    await presence.put(killed, [(ADA, 2), (BOB, 1)])
    await presence.put(drained, [(ADA, 1)])
    await presence.put(drained, [(ADA, 0)])
    await pass_time(redis, presence, LEASE_SECONDS)
    await asyncio.gather(*(store().sweep() for _ in range(5)))
    assert metrics.GHOSTS._value.get() - ghosts == 2
    assert metrics.PRESENCE_CONNECTIONS_LOST._value.get() - lost == 3
    assert metrics.LEASES_EXPIRED._value.get() - expired == 2
