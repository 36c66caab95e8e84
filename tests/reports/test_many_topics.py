"""Many topics on one node with a real Redis: their cost after a flush, and the memory that they leave behind."""

import asyncio
import logging
import os
import time

import pytest
from channels.layers import get_channel_layer
from prometheus_client import REGISTRY

import tidewire.redis.clients
from dashboard.topics import DOCUMENTS
from tests.integration.tidewire.conftest import _server, redis_server  # noqa: F401  # fixtures
from tests.unit.tidewire.fakes import FakeSocket, Hall
from tidewire import conf, metrics
from tidewire.auth.feature import SessionFeature  # noqa: F401  # registers it
from tidewire.fanout import feed_loop
from tidewire.presence import PresenceKey
from tidewire.presence.redis import RedisPresence
from tidewire.presence.witness import Witness
from tidewire.redis.keys import Keys
from tidewire.server.current_node import create_node
from tidewire.server.node import Node
from tidewire.topics import StreamTopic

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.integration
# Ten times the topics of a busy node: `ROOMS=10000 pytest tests/reports/test_many_topics.py -o log_cli_level=INFO`.
ROOMS = int(os.environ.get("ROOMS", "1000"))
WAIT_SECONDS = 120.0


@pytest.fixture
async def here(redis_server):  # noqa: F811  # the fixture
    node = create_node(conf.settings())
    yield node
    await node.stop()
    await get_channel_layer().flush()
    await tidewire.redis.clients.close()


async def until(true, expectation: str) -> float:
    """Return the seconds until a condition is true."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < WAIT_SECONDS, expectation
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def enter(here: Node, names: list[str]) -> FakeSocket:
    """Return a socket that subscribes to these rooms and is present in each."""
    socket = FakeSocket()
    socket.connection = here.connect(socket.writer, consumer="Test", user="1", session="", close=socket.closed.append)
    for name in names:
        here.hub.subscribe(Hall(name), socket.connection)
        here.presence.join(PresenceKey(name, "in", "ada"))
    return socket


def leave(here: Node, socket: FakeSocket, names: list[str]) -> None:
    here.disconnect(socket.connection)
    for name in names:
        here.presence.leave(PresenceKey(name, "in", "ada"))


def errors() -> float:
    return sum(sample.value for family in metrics.REDIS_ERRORS.collect() for sample in family.samples)


async def test_a_flush_is_made_good_with_few_calls_and_no_errors(here, redis_server):  # noqa: F811  # the fixture
    """After Redis was emptied, the node was busy for 17 s, and its log had 19,457 errors of the connection pool."""
    names = [f"room.{number}" for number in range(ROOMS)]
    enter(here, names)

    def shown() -> bool:
        feeds = [here.hub._loops[name].feed for name in names]
        joined = all(here.hub._groups.is_joined(name) for name in names)
        return joined and all(not feed.is_behind(feed.version) and feed._value.names == ("ada",) for feed in feeds)

    first = await until(shown, "every room shows its member")
    versions = {name: here.hub._loops[name].feed.version for name in names}
    before = errors()
    redis_server.client.config_resetstat()
    redis_server.client.flushall()
    again = await until(
        lambda: all(here.hub._loops[name].feed.version > versions[name] for name in names) and shown(), "all are back"
    )
    calls = {
        name.partition("_")[2]: statistics["calls"]
        for name, statistics in redis_server.client.info("commandstats").items()
    }
    logger.info("%d rooms: first in %.1f s, again in %.1f s, Redis was sent %s", ROOMS, first, again, calls)
    assert errors() == before
    # Each room is put once, announced once or twice, and read at most three times: when it is missed, when it is empty,
    # and with its member.
    assert calls["evalsha"] < 1.1 * ROOMS
    assert calls["publish"] <= 2 * ROOMS
    assert calls["zrange"] <= 3 * ROOMS
    # Reads of one iteration of the event loop share a call.
    assert calls["multi"] < ROOMS / 2
    assert len(redis_server.client.client_list()) < 40


@pytest.fixture
def hasty(redis_server, settings, monkeypatch):  # noqa: F811  # the fixture
    """Topics and members that expire soon after their last socket."""
    settings.TIDEWIRE = settings.TIDEWIRE | {
        "GRACE_SECONDS": 0.2,
        "LEASE_SECONDS": 5.0,
        "PRESENCE_INDEXES": {"room": "rooms"},
    }
    conf.settings.cache_clear()
    monkeypatch.setattr(feed_loop, "LINGER_SECONDS", 0.2)


def series() -> int:
    return sum(len(family.samples) for family in REGISTRY.collect())


def keys(redis_server) -> list[str]:  # noqa: F811  # not the fixture
    return sorted(redis_server.client.scan_iter(count=1000))


def present(redis_server) -> int:  # noqa: F811  # not the fixture
    """Return the number of rooms with members."""
    return sum(1 for _ in redis_server.client.scan_iter("tidewire:members:*", count=1000))


async def test_rooms_that_were_opened_and_closed_leave_nothing_behind(hasty, here, redis_server):  # noqa: F811
    """The memory of a node and of Redis grew with every room that was ever opened, as did Prometheus's series."""
    await until(lambda: here.hub._groups.is_joined("revocations"), "the node has begun")
    before, memory = keys(redis_server), None
    for turn in range(4):
        names = [f"room.{turn}-{number}" for number in range(ROOMS // 2)]
        socket = enter(here, names)
        streams = [f"talk-{turn}-{number}" for number in range(100)]
        for name in streams:
            here.hub.subscribe(StreamTopic(name), socket.connection)
        await until(lambda names=names: all(here.hub._groups.is_joined(name) for name in names), "every room is open")
        await until(lambda names=names: present(redis_server) >= len(names), "presence knows the members")
        leave(here, socket, names)
        await until(lambda: set(here.hub._loops) <= {"revocations"}, "no feed is left")
        await until(lambda: not present(redis_server), "all have left")
        if memory is None:
            memory = series()
    assert series() <= memory
    for remembered in (here.hub._loops, here.hub._groups._joined):
        assert set(remembered) <= {"revocations"}
    assert redis_server.client.scard("tidewire:busy:rooms") == 0
    assert redis_server.client.zcard("tidewire:changed:rooms") <= 1000
    assert redis_server.client.zcard("tidewire:audits") == 0
    # The hourly pruning, as it would run a week later.
    assert redis_server.client.hlen("tidewire:versions") > 1000
    await here.presence_store.prune(older_seconds=-1)
    assert redis_server.client.hlen("tidewire:versions") == 0
    remaining = set(keys(redis_server)) - set(before) - {"tidewire:changed:rooms", "tidewire:lineage:rooms"}
    assert {key for key in remaining if not key.startswith(("tidewire:connections:", "tidewire:witness:"))} == set()


async def test_the_list_of_documents_costs_what_is_busy_and_forgets_none(here, redis_server):  # noqa: F811
    """The list took 1.5 s after 9,000 documents had been opened, and omitted a document that was being read."""
    settings = conf.settings()
    presence = RedisPresence(
        Keys(settings.PREFIX), lease_seconds=5.0, grace_seconds=0.1, indexes={"document": "documents"}
    )
    node = Witness("n")
    await presence.touch(node)
    await presence.put(node, [(PresenceKey("document.busy-1", "read", "ada"), 1)])
    for first in range(0, max(ROOMS, 1500), 500):
        presence_keys = [PresenceKey(f"document.d-{number}", "read", "bob") for number in range(first, first + 500)]
        await presence.put(node, [(key, 1) for key in presence_keys])
        await presence.put(node, [(key, 0) for key in presence_keys])
        await presence.touch(node)
    while redis_server.client.zcard("tidewire:deadlines"):
        await presence.touch(node)
        await presence.sweep()
        await asyncio.sleep(0.05)
    before, started = redis_server.client.info("stats")["total_commands_processed"], time.monotonic()
    status = await DOCUMENTS.read(presence, 1)
    seconds = time.monotonic() - started
    commands = redis_server.client.info("stats")["total_commands_processed"] - before
    logger.info("%d opened: the list in %.3f s and %d commands", max(ROOMS, 1500), seconds, commands)
    assert list(status.documents) == ["busy-1"]
    assert commands < 100
