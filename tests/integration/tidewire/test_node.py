"""Nodes on a real Redis and its pub/sub layer: events of one node reach the other, also after faults of Redis."""

import asyncio
import contextlib
import itertools
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import pytest
from channels.layers import get_channel_layer

import tidewire.redis.clients
from tests.integration.tidewire.conftest import dump, restore
from tests.unit.tidewire.fakes import FakeSocket, Hall, Said
from tidewire import conf
from tidewire.auth.feature import SessionFeature  # noqa: F401  # registers it
from tidewire.auth.revoked import Revoked
from tidewire.close_codes import CloseCode
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.positions import Positions
from tidewire.presence import PresenceKey
from tidewire.publishing.direct import publish_now
from tidewire.server.current_node import create_node
from tidewire.server.node import Node
from tidewire.streams.redis import stream_store
from tidewire.tasks import cancel_all
from tidewire.topics import START, StreamTopic

TALK = StreamTopic("talk")
BEGINNING = Positions({TALK.name: START})
TIMEOUT_SECONDS = 20.0


class Cluster:
    """Nodes in one process, each with its own hub, register and lease."""

    def __init__(self, names: str) -> None:
        self.nodes = [create_node(conf.settings()) for _ in names]
        self.numbers = itertools.count(1)

    async def say(self, count: int = 1) -> None:
        options = conf.settings()
        for _ in range(count):
            number = next(self.numbers)
            event = Said(id=UUID(int=number), text=f"word {number}")
            await publish_now(event, streams=stream_store(), layer=get_channel_layer(), prefix=options.PREFIX)

    async def say_until_it_is_taken(self, number: int) -> None:
        """Repeat an event while Redis refuses it, as the outbox does. Its id prevents duplicates."""
        async with asyncio.timeout(20):
            while True:
                self.numbers = itertools.count(number)
                with contextlib.suppress(RedisUnavailable):
                    return await self.say()

    def listen(self, node: Node) -> FakeSocket:
        return self._subscribe(node, TALK)

    def watch(self, node: Node, hall: str = "hall") -> FakeSocket:
        return self._subscribe(node, Hall(hall))

    def _subscribe(self, node: Node, topic) -> FakeSocket:
        socket = FakeSocket()
        socket.connection = node.connect(
            socket.writer, consumer="Test", user="1", session="", close=socket.closed.append
        )
        node.hub.subscribe(topic, socket.connection, BEGINNING)
        return socket


@contextlib.asynccontextmanager
async def running_cluster() -> AsyncIterator[Cluster]:
    two_nodes = Cluster("ab")
    yield two_nodes
    for node in two_nodes.nodes:
        await node.stop()
    await get_channel_layer().flush()


@pytest.fixture
async def cluster(redis, settings):
    """Two nodes with short leases."""
    settings.TIDEWIRE = settings.TIDEWIRE | {
        "LEASE_SECONDS": 2.0,
        "GRACE_SECONDS": 0.5,
        "TOUCH_SECONDS": 0.2,
        "CHECK_SECONDS": 0.2,
        "COALESCE_SECONDS": 0.05,
    }
    conf.settings.cache_clear()
    async with running_cluster() as two_nodes:
        yield two_nodes


async def until(true: Callable[[], bool]) -> None:
    """Wait until a condition is true, with a timeout."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not true():  # noqa: ASYNC110  # the condition has no event to wait for
            await asyncio.sleep(0.01)


def offsets(socket: FakeSocket) -> list[int]:
    return [event["offset"] for event in socket.events if "offset" in event]


def names(socket: FakeSocket) -> set[str]:
    """Return the members of the newest event that the socket received."""
    values = [event["names"] for event in socket.events if event["type"] == "test.here"]
    return set(values[-1]) if values else set()


async def test_an_event_reaches_the_sockets_of_every_node(cluster):
    """The events must arrive in order and once on each node."""
    sockets = [cluster.listen(node) for node in cluster.nodes for _ in range(3)]
    await cluster.say(20)
    await until(lambda: all(len(offsets(socket)) >= 20 for socket in sockets))
    assert all(offsets(socket) == list(range(1, 21)) for socket in sockets)


async def test_a_user_on_two_nodes_is_one(cluster):
    """The user has left only after both nodes have reported it."""
    first, second = cluster.nodes
    sockets = [cluster.watch(node) for node in cluster.nodes]
    ada = PresenceKey("hall", "in", "ada")
    first.presence.join(ada)
    second.presence.join(ada)
    await until(lambda: all(names(socket) == {"ada"} for socket in sockets))
    for socket in sockets:
        assert [event["names"] for event in socket.events if event["names"]] == [["ada"]]
    first.presence.leave(ada)
    second.presence.leave(ada)
    await until(lambda: all(names(socket) == set() for socket in sockets))


async def test_at_rest_the_count_equals_the_truth(cluster):
    """Fifty users come and go at random on both nodes. At rest, every page must show the connected users."""
    script = random.Random(7)
    sockets = [cluster.watch(node) for node in cluster.nodes]
    connections: Counter[tuple[int, str]] = Counter()
    for number in range(600):
        node, user = script.randrange(2), f"user{script.randrange(50)}"
        key = PresenceKey("hall", "in", user)
        if connections[node, user] and script.random() < 0.6:
            connections[node, user] -= 1
            cluster.nodes[node].presence.leave(key)
        else:
            connections[node, user] += 1
            cluster.nodes[node].presence.join(key)
        if number % 20 == 0:
            await asyncio.sleep(0.005)
    expected = {user for (_, user), count in connections.items() if count}
    await until(lambda: all(names(socket) == expected for socket in sockets))


async def test_a_node_that_stops_hands_over(cluster):
    """Its members leave after the grace, which the other node must show."""
    first, second = cluster.nodes
    socket = cluster.watch(second)
    first.presence.join(PresenceKey("hall", "in", "ada"))
    await until(lambda: names(socket) == {"ada"})
    await first.stop()
    await until(lambda: names(socket) == set())


async def test_a_node_that_dies_is_outlived(cluster):
    """A killed node sends no message: its members must leave when its lease ends."""
    first, second = cluster.nodes
    socket = cluster.watch(second)
    first.presence.join(PresenceKey("hall", "in", "ada"))
    second.presence.join(PresenceKey("hall", "in", "bob"))
    await until(lambda: names(socket) == {"ada", "bob"})
    await cancel_all(first._tasks)
    await until(lambda: names(socket) == {"bob"})


async def test_three_hundred_topics_are_read_at_once(cluster):
    """If there are more reads than connections to Redis, they must wait, and all must succeed at the first attempt."""
    first = cluster.nodes[0]
    sockets = {f"hall.{number}": cluster.watch(first, f"hall.{number}") for number in range(300)}
    for topic in sockets:
        first.presence.join(PresenceKey(topic, "in", "ada"))
    await until(lambda: all(names(socket) == {"ada"} for socket in sockets.values()))


async def test_after_a_restart_of_redis_everything_goes_on(cluster, redis_server, caplog):
    """Redis returns empty: sockets stay open and become stale for a while, presence is refilled, events repeated."""
    first, second = cluster.nodes
    hall, talk = cluster.watch(second), cluster.listen(second)
    first.presence.join(PresenceKey("hall", "in", "ada"))
    await cluster.say(2)
    await until(lambda: names(hall) == {"ada"} and offsets(talk) == [1, 2])
    hall.take()
    talk.take()
    with caplog.at_level(logging.CRITICAL):
        redis_server.stop()
        await until(lambda: second.hub.stale)
        with pytest.raises(RedisUnavailable):
            await cluster.say()
        redis_server.start()
        await until(lambda: not second.hub.stale and names(hall) == {"ada"})
        # An event that is published before the feed has seen the empty Redis belongs to the gap that it reports.
        await until(lambda: any(event["type"] == "resumed" for event in talk.events))
        await cluster.say()
        await until(lambda: offsets(talk) == [1])
    stale = [event["stale"] for event in talk.events if event["type"] == "stale"]
    assert stale == [True, False]
    assert talk.closed == hall.closed == []
    resumed = [event for event in talk.events if event["type"] == "resumed"]
    assert resumed[0]["recovered"] is False


async def test_a_flush_is_healed_within_the_lease(cluster, redis):
    """All connected users must be members again, and no others."""
    sockets = [cluster.watch(node) for node in cluster.nodes]
    for number, node in enumerate(cluster.nodes):
        for user in range(20):
            node.presence.join(PresenceKey("hall", "in", f"user{number}-{user}"))
    everybody = {f"user{number}-{user}" for number in range(2) for user in range(20)}
    await until(lambda: all(names(socket) == everybody for socket in sockets))
    await redis.flushall()
    for socket in sockets:
        socket.take()
    cluster.nodes[0].presence.join(PresenceKey("hall", "in", "late"))
    await until(lambda: all(names(socket) == everybody | {"late"} for socket in sockets))


async def revoke(user: str) -> None:
    event = Revoked(id=uuid4(), user=user)
    await publish_now(event, streams=stream_store(), layer=get_channel_layer(), prefix=conf.settings().PREFIX)


@pytest.mark.parametrize("data", ["rolled back", "gone"])
async def test_the_first_revocation_after_a_loss_closes_its_sockets(cluster, redis, data):
    """Redis assigns its offset a second time, so a check of the previous entries must find the revocation."""
    sockets = {user: FakeSocket() for user in ("8", "9")}
    for number, (user, socket) in enumerate(sockets.items()):
        cluster.nodes[number].connect(socket.writer, consumer="Test", user=user, session="", close=socket.closed.append)
    await revoke("7")
    dumped = await dump(redis)
    await revoke("8")
    await until(lambda: sockets["8"].closed == [CloseCode.EXPIRED])
    await redis.flushall()
    if data == "rolled back":
        await restore(redis, dumped)
    await revoke("9")
    await until(lambda: sockets["9"].closed == [CloseCode.EXPIRED])
    assert sockets["8"].closed == [CloseCode.EXPIRED]


async def test_a_redis_that_takes_nothing_makes_sockets_stale(cluster, redis, caplog):
    """Redis answers reads, but without writes no event is delivered, and neither is a revocation."""
    talk = cluster.listen(cluster.nodes[0])
    await cluster.say()
    await until(lambda: offsets(talk) == [1])
    with caplog.at_level(logging.CRITICAL):
        await redis.config_set("maxmemory", 1)
        try:
            await until(lambda: all(node.hub.stale for node in cluster.nodes))
        finally:
            await redis.config_set("maxmemory", 0)
        await until(lambda: not any(node.hub.stale for node in cluster.nodes))
    assert [event["stale"] for event in talk.events if event["type"] == "stale"] == [True, False]


async def test_a_pause_of_redis_loses_nothing(cluster, redis_server, monkeypatch, caplog):
    """Events that are published after the pause must be delivered in order and once."""
    talk = cluster.listen(cluster.nodes[0])
    await cluster.say(3)
    await until(lambda: offsets(talk) == [1, 2, 3])
    with caplog.at_level(logging.CRITICAL):
        with redis_server.paused():
            with pytest.raises(RedisUnavailable):
                await cluster.say()
            await asyncio.sleep(0.5)
        # The first attempt may have succeeded when Redis continued, so it is repeated, as in the outbox.
        for number in (4, 5, 6):
            await cluster.say_until_it_is_taken(number)
        await until(lambda: offsets(talk)[-1:] == [6])
    assert offsets(talk) == [1, 2, 3, 4, 5, 6]
    assert tidewire.redis.clients.client()
