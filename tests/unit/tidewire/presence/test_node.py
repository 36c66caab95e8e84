"""A node's calls to presence: its own connections, again after every loss, and no more often than needed."""

import asyncio
import contextlib
import copy
from collections.abc import Iterable

import pytest

from tests.unit.tidewire.presence.presence_suite import ADA, ADA_WRITES, BOB
from tidewire.exceptions import RedisUnavailable
from tidewire.presence import PresenceKey, Touched
from tidewire.presence.node import PUT_ENTRIES, NodePresence
from tidewire.presence.witness import Witness
from tidewire.testing import MemoryPresence

TOUCH_SECONDS = 1.0


class Store(MemoryPresence):
    """Presence that records its calls, and may be unavailable."""

    def __init__(self) -> None:
        super().__init__(
            lease_seconds=10.0, grace_seconds=3.0, indexes={}, clock=lambda: asyncio.get_running_loop().time()
        )
        self.puts: list[dict[PresenceKey, int]] = []
        self.touches = 0
        self.unavailable = False
        self.late: list[tuple[Witness, int, dict[PresenceKey, int]]] = []
        self.answers = True
        self.loses_answer = False

    async def touch(self, node: Witness) -> Touched:
        self._reach()
        self.touches += 1
        touched = await super().touch(node)
        if self.loses_answer:
            self.loses_answer = False
            raise RedisUnavailable("the answer was lost")
        return touched

    async def sweep(self) -> set[str]:
        self._reach()
        return await super().sweep()

    async def put(self, node: Witness, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        self._reach()
        counts = list(counts)
        if not self.answers:
            self.late.append((node, node.next(), dict(counts)))
            raise RedisUnavailable("no answer")
        self.puts.append(dict(counts))
        return await super().put(node, counts)

    async def carry_out_late(self) -> None:
        """Apply the writes that were never answered, the oldest last."""
        for node, number, counts in reversed(self.late):
            self._write(node, number, counts.items())
        self.late.clear()

    def snapshot(self) -> dict[str, object]:
        names = ("_nodes", "_numbers", "_connections", "_deadlines", "_members", "_versions")
        return copy.deepcopy({name: self.__dict__[name] for name in names})

    def roll_back(self, snapshot: dict[str, object]) -> None:
        self.__dict__.update(copy.deepcopy(snapshot))

    def lose_everything(self) -> None:
        for values in (self._nodes, self._numbers, self._connections, self._deadlines, self._members):
            values.clear()

    async def names(self) -> tuple[str, ...]:
        [members] = await self.members([(ADA.topic, ADA.phase)], names=-1)
        return members.names

    def _reach(self) -> None:
        if self.unavailable:
            raise RedisUnavailable("unavailable")


@pytest.fixture
async def store():
    return Store()


@pytest.fixture
def announced():
    """The announced topics, a set per announcement."""
    return []


@pytest.fixture
async def node_presence(store, announced):
    """Run the presence of a node."""

    async def announce(topics: set[str]) -> None:
        announced.append(topics)

    presence = NodePresence(store, node="n", touch_seconds=TOUCH_SECONDS, announce=announce)
    running = asyncio.ensure_future(presence.run())
    yield presence
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def pass_time(seconds: float = 0.1) -> None:
    """Advance the loop's clock, which takes no real time."""
    await asyncio.sleep(seconds)


async def test_joins_of_a_moment_travel_together(node_presence, store, announced):
    """A storm of connects is one call, with the final count of each entry."""
    await pass_time()
    for _ in range(3):
        node_presence.join(ADA)
    node_presence.join(BOB)
    node_presence.leave(ADA)
    await pass_time()
    assert store.puts == [{ADA: 2, BOB: 1}]
    assert announced == [{"doc.plan"}]


async def test_the_last_leave_is_told_as_none(node_presence, store):
    """A member without a connection is removed."""
    node_presence.join(ADA)
    node_presence.join(ADA_WRITES)
    await pass_time()
    node_presence.leave(ADA)
    await pass_time()
    assert store.puts[-1] == {ADA: 0}
    assert await store.names() == ("ada",)
    await pass_time(4.0)
    assert await store.names() == ()


async def test_a_leave_too_many_is_harmless(node_presence, store):
    """Counts do not fall below zero, so that the next join counts."""
    node_presence.leave(ADA)
    await pass_time()
    node_presence.join(ADA)
    await pass_time()
    assert store.puts[-1] == {ADA: 1}


async def test_many_holds_travel_in_several_calls(node_presence, store):
    """A refill of thousands of entries does not block any other client for long."""
    await pass_time()
    for number in range(2 * PUT_ENTRIES + 1):
        node_presence.join(PresenceKey("doc.plan", "read", f"user{number}"))
    await pass_time()
    assert sorted(len(put) for put in store.puts) == [1, PUT_ENTRIES, PUT_ENTRIES]


async def test_the_lease_is_touched_in_time(node_presence, store):
    """At a fixed interval, whether or not connections change."""
    await pass_time(10 * TOUCH_SECONDS + 0.5)
    assert 10 <= store.touches <= 13
    for _ in range(100):
        node_presence.join(ADA)
        await pass_time(0.05)
    assert 15 <= store.touches <= 19


async def test_a_member_who_left_is_announced_by_whoever_swept(node_presence, store, announced):
    """The node that removes a member announces it."""
    node_presence.join(ADA)
    await pass_time()
    announced.clear()
    node_presence.leave(ADA)
    await pass_time(5.0)
    assert announced == [{"doc.plan"}]


async def test_an_emptied_store_is_refilled_within_a_touch(node_presence, store):
    """A store without its data does not know the node, which must write everything again."""
    node_presence.join(ADA)
    node_presence.join(BOB)
    await pass_time()
    store.lose_everything()
    await pass_time(TOUCH_SECONDS + 0.1)
    assert sorted(await store.names()) == ["ada", "bob"]


async def test_an_emptied_store_is_refilled_at_the_next_change(node_presence, store):
    """If the store does not know the node, a change must not be written alone, but with everything else."""
    await pass_time(0.2)
    node_presence.join(ADA)
    await pass_time()
    store.lose_everything()
    node_presence.join(BOB)
    await pass_time(0.1)
    assert sorted(await store.names()) == ["ada", "bob"]


async def test_what_happens_while_redis_is_away_is_told_later(node_presence, store):
    """Joins and leaves are kept, as the counts that they result in."""
    node_presence.join(ADA)
    await pass_time()
    store.unavailable = True
    node_presence.leave(ADA)
    node_presence.join(BOB)
    await pass_time(3.0)
    store.unavailable = False
    await pass_time(TOUCH_SECONDS + 0.1)
    assert store.puts[-1] == {ADA: 0, BOB: 1}


async def test_an_outage_longer_than_the_lease_is_no_leave(node_presence, store, announced):
    """The lease ended while no node could sweep. The node must register and refill before a member is removed."""
    node_presence.join(ADA)
    await pass_time()
    announced.clear()
    store.unavailable = True
    await pass_time(30.0)
    store.unavailable = False
    await pass_time(10.0)
    assert await store.names() == ("ada",)
    assert announced == []


async def test_what_is_carried_out_late_does_not_outlive_what_came_after(node_presence, store):
    """A command without a reply may be carried out after a newer one, so the current count must be written again."""
    await pass_time()
    store.answers = False
    node_presence.join(ADA)
    await pass_time()
    node_presence.leave(ADA)
    await pass_time(0.5)
    original = store.put

    async def after_the_newer_one(node, counts):
        answer = await original(node, counts)
        await store.carry_out_late()
        return answer

    store.put = after_the_newer_one
    store.answers = True
    await pass_time(10.0)
    assert await store.names() == ()


async def test_handing_over_gives_everything_up(node_presence, store):
    """At the end of a drain, members stay for their grace and no longer."""
    node_presence.join(ADA)
    node_presence.join(BOB)
    await pass_time()
    await node_presence.hand_over()
    assert store.puts[-1] == {ADA: 0, BOB: 0}
    assert sorted(await store.names()) == ["ada", "bob"]
    await pass_time(5.0)
    assert await store.names() == ()


async def test_a_store_that_went_back_in_time_is_refilled(node_presence, store):
    """The store has the lease, but an older state: no ghost remains, and no member is missing."""
    node_presence.join(ADA)
    node_presence.join(ADA_WRITES)
    await pass_time(TOUCH_SECONDS)
    snapshot = store.snapshot()
    node_presence.join(BOB)
    node_presence.leave(ADA)
    await pass_time(TOUCH_SECONDS)
    store.roll_back(snapshot)
    await pass_time(TOUCH_SECONDS + 0.1)
    assert sorted(await store.names()) == ["ada", "bob"]
    await pass_time(5.0)
    assert await store.names() == ("bob",)


async def test_a_write_that_was_lost_right_after_a_touch_is_noticed(node_presence, store):
    """Every write has a number, not only the touch."""
    await pass_time(1.5 * TOUCH_SECONDS)
    snapshot = store.snapshot()
    node_presence.join(ADA)
    await pass_time()
    store.roll_back(snapshot)
    await pass_time(TOUCH_SECONDS)
    assert await store.names() == ("ada",)


async def test_a_lost_answer_to_the_registration_loses_no_member(node_presence, store):
    """After Redis had lost everything, the node registered without receiving the reply."""
    node_presence.join(ADA)
    await pass_time()
    store.lose_everything()
    store.loses_answer = True
    await pass_time(2 * TOUCH_SECONDS + 0.1)
    store.loses_answer = True
    await pass_time(3 * TOUCH_SECONDS)
    assert await store.names() == ("ada",)


async def test_a_hold_that_is_missing_is_noticed(node_presence, store):
    """The node must notice any missing entry by the count of its entries at each touch."""
    node_presence.join(ADA)
    node_presence.join(BOB)
    await pass_time()
    for counts in store._connections.values():
        counts.pop(ADA)
    await pass_time(2 * TOUCH_SECONDS)
    assert sorted(key.member for counts in store._connections.values() for key in counts) == ["ada", "bob"]


async def test_a_node_that_is_healthy_puts_nothing_twice(node_presence, store):
    """Joins and leaves at any moment cause no refill."""
    for _ in range(50):
        node_presence.join(ADA)
        await pass_time(0.09)
        node_presence.leave(ADA)
        node_presence.join(BOB)
        await pass_time(0.09)
        node_presence.leave(BOB)
    await pass_time(10.0)
    assert len(store._nodes) == 1
    assert await store.names() == ()


async def test_a_store_that_keeps_nothing_is_an_outage(node_presence, store):
    """An eviction policy that removes every key must not make the node write at full speed."""
    health = []
    node_presence._on_write_health = health.append
    store._write = lambda *_: (False, set())
    node_presence.join(ADA)
    await pass_time(5.0)
    assert store.touches < 60
    assert False in health


async def test_two_runs_of_a_node_are_two(store):
    """A process that is started again does not take over its predecessor's entries."""
    names = {Witness("n").name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("n-") for name in names)


async def test_an_end_that_comes_together_with_a_change_is_an_end(store):
    """The last socket may close at the moment in which a drained node stops."""

    async def announce(_topics: set[str]) -> None: ...

    node_presence = NodePresence(store, node="n", touch_seconds=1.0, announce=announce)
    running = asyncio.ensure_future(node_presence.run())
    await asyncio.sleep(0.5)
    # Both happen before the waiting task runs again.
    node_presence.join(ADA)
    running.cancel()
    async with asyncio.timeout(30):
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
