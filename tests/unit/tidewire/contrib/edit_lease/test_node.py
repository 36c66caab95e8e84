"""A node's calls for its editors: one when they come, one each second while they stay, one when they leave."""

import asyncio
import contextlib
from collections.abc import Sequence

import pytest

from tidewire import metrics
from tidewire.contrib.edit_lease import EditLease, Editor, Move, Moved
from tidewire.contrib.edit_lease.node import MOVES_AT_ONCE, NodeEditLeases
from tidewire.exceptions import RedisUnavailable
from tidewire.testing import MemoryEditLeases

TOUCH_SECONDS = 1.0
LEASE_SECONDS = 20.0
ADA, BOB, ELSEWHERE = Editor("lease.plan", "ada"), Editor("lease.plan", "bob"), Editor("lease.notes", "ada")


class Store(MemoryEditLeases):
    """Leases that record their calls, and may be unavailable."""

    def __init__(self) -> None:
        super().__init__(
            lease_seconds=LEASE_SECONDS,
            answer_seconds=30.0,
            grace_seconds=3.0,
            changed=lambda _: None,
            clock=lambda: asyncio.get_running_loop().time(),
        )
        self.stored: list[list[Move]] = []
        self.unavailable = False

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        if self.unavailable:
            raise RedisUnavailable("Redis is unavailable")
        self.stored.append(list(moves))
        return await super().move(moves)

    def take_stored(self) -> list[Move]:
        stored, self.stored = [move for moves in self.stored for move in moves], []
        return stored

    async def holder(self, topic: str = ADA.topic) -> str | None:
        [lease] = await self.read([topic])
        return lease.holder


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def announced():
    return []


@pytest.fixture
async def node_leases(store, announced):
    async for leases in running(store, announced):
        yield leases


@pytest.fixture
async def other_node(store, announced):
    async for leases in running(store, announced):
        yield leases


async def running(store, announced):
    async def announce(topics: set[str]) -> None:
        announced.extend(sorted(topics))

    node_leases = NodeEditLeases(store, touch_seconds=TOUCH_SECONDS, announce=announce)
    task = asyncio.ensure_future(node_leases.run())
    yield node_leases
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_who_comes_is_told_at_once_and_announced(node_leases, store, announced):
    """An editor need not wait for the next touch to receive the state of the lease."""
    await asyncio.sleep(0.5)
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    assert store.take_stored() == [Move("take", ADA)]
    assert announced == [ADA.topic]


async def test_the_holder_takes_again_and_who_waits_is_touched(node_leases, store):
    """After the store has lost everything, the former holder comes first."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    node_leases.join(BOB)
    await asyncio.sleep(0.01)
    store.take_stored()
    await asyncio.sleep(TOUCH_SECONDS)
    assert store.take_stored() == [Move("take", ADA), Move("touch", BOB)]


async def test_two_tabs_are_one_editor(node_leases, store):
    """The editor leaves when the last tab closes."""
    node_leases.join(ADA)
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    node_leases.leave(ADA, reconnects=False)
    await asyncio.sleep(0.01)
    store.take_stored()
    await asyncio.sleep(TOUCH_SECONDS)
    assert store.take_stored() == [Move("take", ADA)]
    node_leases.leave(ADA, reconnects=False)
    await asyncio.sleep(3 * TOUCH_SECONDS)
    assert store.take_stored() == [Move("leave", ADA)]


async def test_who_is_expected_back_is_not_said_to_leave(node_leases, store):
    """The lease remains until it expires, without further calls for the editor."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    store.take_stored()
    node_leases.leave(ADA, reconnects=True)
    await asyncio.sleep(3 * TOUCH_SECONDS)
    assert store.take_stored() == []
    assert await store.holder() == "ada"


async def test_a_reload_within_one_round_is_no_leaving(node_leases, store):
    """The new socket may open before the end of the old one has been sent to the store."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    store.take_stored()
    node_leases.leave(ADA, reconnects=False)
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    assert store.take_stored() == [Move("take", ADA)]


async def test_another_node_gets_it_when_this_one_s_editor_has_gone(node_leases, other_node, store):
    """Also if the editor's node sends nothing any more."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    other_node.join(BOB)
    await asyncio.sleep(2 * LEASE_SECONDS)
    assert await store.holder() == "ada"
    node_leases.leave(ADA, reconnects=True)
    await asyncio.sleep(LEASE_SECONDS - 2 * TOUCH_SECONDS)
    assert await store.holder() == "ada"
    await asyncio.sleep(3 * TOUCH_SECONDS)
    assert await store.holder() == "bob"


async def test_an_editor_who_moves_to_another_node_keeps_it(node_leases, other_node, store, announced):
    """As in a drain: the lease does not change, so it must not be announced."""
    node_leases.join(ADA)
    other_node.join(BOB)
    await asyncio.sleep(0.01)
    announced.clear()
    node_leases.leave(ADA, reconnects=True)
    await asyncio.sleep(LEASE_SECONDS / 2)
    other_node.join(ADA)
    await asyncio.sleep(3 * LEASE_SECONDS)
    assert await store.holder() == "ada"
    assert announced == []


async def test_an_asker_s_tab_on_another_node_may_close(node_leases, other_node, store):
    """The node of the open tab keeps the request."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    node_leases.join(BOB)
    other_node.join(BOB)
    await asyncio.sleep(0.01)
    await node_leases.move("ask", BOB)
    other_node.leave(BOB, reconnects=False)
    await asyncio.sleep(10)
    assert await store.read([ADA.topic]) == [EditLease("ada", "bob")]
    node_leases.leave(BOB, reconnects=False)
    await asyncio.sleep(5)
    assert await store.read([ADA.topic]) == [EditLease("ada")]


async def test_an_outage_only_delays(node_leases, store):
    """Afterwards the store receives all present editors. The lease of an editor that left meanwhile simply expires."""
    node_leases.join(ADA)
    node_leases.join(ELSEWHERE)
    await asyncio.sleep(0.01)
    store.unavailable = True
    node_leases.join(BOB)
    node_leases.leave(ELSEWHERE, reconnects=False)
    await asyncio.sleep(5)
    store.take_stored()
    store.unavailable = False
    await asyncio.sleep(2 * TOUCH_SECONDS)
    moves = store.take_stored()
    assert moves[:2] == [Move("take", ADA), Move("take", BOB)]
    assert ELSEWHERE not in {move.editor for move in moves}


async def test_an_editor_s_own_move_is_made_and_announced(node_leases, store, announced):
    """Asking and answering do not wait for the next touch."""
    node_leases.join(ADA)
    await asyncio.sleep(0.01)
    before = metrics.EDIT_LEASE_CHANGES.labels("ask")._value.get()
    announced.clear()
    await node_leases.move("ask", BOB)
    assert announced == [ADA.topic]
    assert metrics.EDIT_LEASE_CHANGES.labels("ask")._value.get() == before + 1
    await node_leases.move("hand_over", ADA, "eve")
    assert announced == [ADA.topic]
    await node_leases.move("hand_over", ADA, "bob")
    assert await store.read([ADA.topic]) == [EditLease("bob")]


async def test_thousands_of_editors_travel_in_bounded_batches(node_leases, store):
    """No single call blocks the store for long."""
    for number in range(3 * MOVES_AT_ONCE):
        node_leases.join(Editor(f"lease.{number}", "ada"))
    await asyncio.sleep(0.01)
    assert [len(moves) for moves in store.stored] == [MOVES_AT_ONCE] * 3


async def test_an_end_that_comes_together_with_an_editor_is_an_end(store):
    """The last editor may leave at the moment in which a drained node stops."""

    async def announce(_topics: set[str]) -> None: ...

    node_leases = NodeEditLeases(store, touch_seconds=TOUCH_SECONDS, announce=announce)
    running = asyncio.ensure_future(node_leases.run())
    await asyncio.sleep(0.5)
    # Both happen before the waiting task runs again.
    node_leases.join(ADA)
    running.cancel()
    async with asyncio.timeout(30):
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
