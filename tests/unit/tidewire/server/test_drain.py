"""A drain: no new clients, all clients notified and closed in time, presence handed over."""

import asyncio
import dataclasses
import time
from collections import Counter
from typing import Any

import pytest

from tests.faults.account import peak_per_second
from tests.unit.tidewire.fakes import FakeWriter
from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.presence import PresenceKey
from tidewire.server import drain
from tidewire.server.drain import CLOSE_NOW_SECONDS, CLOSING_PART, Drainer
from tidewire.server.node import Node

DRAIN_SECONDS = 10.0


class Client:
    """A socket whose client answers a close after a delay, or never."""

    def __init__(self, here: Node, *, answers_seconds: float | None = 0.1) -> None:
        self.here = here
        self.writer = FakeWriter()
        self.answers_seconds = answers_seconds
        self.closed: list[tuple[float, CloseCode]] = []
        self.left = False
        self.connection = here.connect(self.writer, consumer="Test", user="1", session="", close=self.close)

    def close(self, code: CloseCode) -> None:
        self.closed.append((asyncio.get_running_loop().time(), code))
        if self.answers_seconds is not None:
            asyncio.get_running_loop().call_later(self.answers_seconds, self.leave)

    def leave(self) -> None:
        if not self.left:
            self.left = True
            self.here.disconnect(self.connection)


class Scene:
    def __init__(self, here: Node) -> None:
        self.here = here
        self.calls: list[str] = []
        self.drainer = Drainer(here, stop_listening=self.stop_listening)

    async def stop_listening(self) -> None:
        assert not any(client.closed for client in self.clients)
        self.calls.append("closed to new clients")

    def connect(self, count: int, **options: Any) -> None:
        self.clients = [Client(self.here, **options) for _ in range(count)]

    async def drain(self) -> float:
        """Run the drain and return its duration."""
        started = asyncio.get_running_loop().time()
        await self.drainer.drain()
        return asyncio.get_running_loop().time() - started


@pytest.fixture
async def scene(here):
    here.settings = dataclasses.replace(here.settings, DRAIN_SECONDS=DRAIN_SECONDS)
    new_scene = Scene(here)
    new_scene.connect(0)
    return new_scene


async def test_a_drain_has_three_states(scene):
    """The node is ready until the drain begins, and draining until all sockets have closed."""
    assert (scene.drainer.state, scene.drainer.ready, scene.drainer.draining) == ("listening", True, False)
    scene.connect(1, answers_seconds=1.0)
    draining = asyncio.ensure_future(scene.drain())
    await asyncio.sleep(0.5)
    assert (scene.drainer.state, scene.drainer.ready, scene.drainer.draining) == ("draining", False, True)
    assert metrics.DRAINING._value.get() == 1
    assert time.time() - metrics.DRAIN_STARTED_SECONDS._value.get() < 60
    await draining
    assert scene.drainer.state == "drained"


async def test_the_listener_closes_first(scene):
    """Otherwise the node would attract the clients that it closes."""
    scene.connect(50)
    await scene.drain()
    assert scene.calls == ["closed to new clients"]


async def test_every_client_is_told_then_closed_with_a_code_that_reconnects(scene):
    """The hint is sent before the close frame, which has no room for it."""
    scene.connect(30)
    await scene.drain()
    for client in scene.clients:
        assert [frame.text for frame in client.writer.frames] == ['{"type":"drain","reconnect_in_seconds":0.0}']
        assert [code for _, code in client.closed] == [CloseCode.DRAINING]
        assert not CloseCode.DRAINING.final


async def test_closes_are_spread_evenly(scene):
    """The other nodes receive their new clients at an even rate."""
    scene.connect(800)
    seconds = await scene.drain()
    started = min(at for client in scene.clients for at, _ in client.closed)
    per_second = Counter(int(at - started) for client in scene.clients for at, _ in client.closed)
    assert len(per_second) == DRAIN_SECONDS * CLOSING_PART
    assert max(per_second.values()) < 1.2 * min(per_second.values())
    assert seconds < DRAIN_SECONDS


async def test_a_loop_that_was_held_up_makes_up_for_it_slowly(scene):
    """Closes that a blocked loop has delayed must not all follow at once: other nodes would see a storm."""
    scene.connect(800)
    loop = asyncio.get_running_loop()

    def stand_still() -> None:
        loop.now += 1.0

    loop.call_later(3.0, stand_still)
    await scene.drain()
    closed = sorted(at for client in scene.clients for at, _ in client.closed)
    rate = len(closed) / (DRAIN_SECONDS * CLOSING_PART)
    assert peak_per_second(closed) < 1.8 * rate
    assert closed[-1] - closed[0] <= DRAIN_SECONDS * CLOSING_PART


async def test_a_few_sockets_are_closed_at_once(scene):
    """A development server should stop at once."""
    scene.connect(drain.UNPACED_CONNECTIONS)
    assert await scene.drain() < 1


async def test_an_empty_node_is_drained_at_once(scene):
    """An empty node has no sockets to wait for."""
    assert await scene.drain() < 0.1


async def test_who_never_answers_is_waited_for_in_time(scene):
    """The drain must not exceed the grace period of the signal's sender."""
    scene.connect(50, answers_seconds=None)
    seconds = await scene.drain()
    assert DRAIN_SECONDS - 0.1 < seconds <= DRAIN_SECONDS + 0.1
    assert scene.drainer.state == "drained"


async def test_who_connected_last_is_closed_too(scene):
    """A handshake that was in progress when the listener closed may still become a socket."""
    scene.connect(30)
    late: list[Client] = []
    asyncio.get_running_loop().call_later(DRAIN_SECONDS * CLOSING_PART - 1, lambda: late.append(Client(scene.here)))
    seconds = await scene.drain()
    assert [code for _, code in late[0].closed] == [CloseCode.DRAINING]
    assert late[0].left
    assert seconds < DRAIN_SECONDS


async def test_who_left_by_themselves_is_not_closed(scene):
    """A closed socket is not written to."""
    scene.connect(100)
    leavers = scene.clients[:50]
    asyncio.get_running_loop().call_later(0.01, lambda: [client.leave() for client in leavers])
    await scene.drain()
    assert sum(1 for client in leavers if client.closed) <= 2
    assert all(client.closed for client in scene.clients[50:])


async def test_a_second_signal_cuts_it_short(scene):
    """All sockets are closed at once, and the drain waits briefly for the close frames to be sent."""
    scene.connect(500)
    asyncio.get_running_loop().call_later(1.0, scene.drainer.close_now)
    seconds = await scene.drain()
    assert all(client.closed and client.left for client in scene.clients)
    assert 1.0 < seconds < 1.0 + CLOSE_NOW_SECONDS


async def test_a_second_signal_does_not_wait_for_who_never_answers(scene):
    """The wait is short."""
    scene.connect(500, answers_seconds=None)
    asyncio.get_running_loop().call_later(1.0, scene.drainer.close_now)
    assert await scene.drain() < 1.0 + CLOSE_NOW_SECONDS + 0.2


async def test_a_second_drain_waits_for_nothing(scene):
    """A second call returns at once."""
    scene.connect(100)
    first = asyncio.ensure_future(scene.drainer.drain())
    await asyncio.sleep(0.1)
    await scene.drainer.drain()
    assert not first.done()
    await first


async def test_presence_is_handed_over_at_the_end(scene):
    """Remaining members are handed over. Members that do not return then leave after the grace instead of the lease."""
    scene.here.presence.join(PresenceKey("hall", "in", "ada"))
    await asyncio.sleep(0.5)
    scene.connect(1, answers_seconds=None)
    await scene.drain()
    await asyncio.sleep(scene.here.settings.GRACE_SECONDS + 0.1)
    assert await scene.here.presence_store.sweep() == {"hall"}
