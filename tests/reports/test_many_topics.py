"""Many topics on one node, over a real Redis: what they cost after a flush, and what is left when they have gone."""

import asyncio
import logging
import os
import time

import pytest
from channels.layers import get_channel_layer

import tidewire.redis
from tests.integration.tidewire.conftest import _server, redis_server  # noqa: F401  # fixtures
from tests.unit.tidewire.fakes import FakeSocket, Hall
from tidewire import conf, metrics
from tidewire.node import Node
from tidewire.presence import Hold

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.integration
# Ten times the topics of a busy node: `ROOMS=10000 pytest tests/reports/test_many_topics.py -o log_cli_level=INFO`.
ROOMS = int(os.environ.get("ROOMS", "1000"))
WAIT_SECONDS = 120.0


@pytest.fixture
async def here(redis_server):  # noqa: F811  # the fixture
    made = Node(conf.settings())
    yield made
    await made.stop()
    await get_channel_layer().flush()
    await tidewire.redis.close()


async def until(true, what: str) -> float:
    """Seconds until something is true."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < WAIT_SECONDS, what
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def enter(here: Node, names: list[str]) -> FakeSocket:
    """A socket in these rooms, present in each."""
    socket = FakeSocket()
    socket.connection = here.connect(socket.writer, consumer="Test", user="1", session="", close=socket.closed.append)
    for name in names:
        here.hub.subscribe(Hall(name), socket.connection)
        here.register.join(Hold(name, "in", "ada"))
    return socket


def leave(here: Node, socket: FakeSocket, names: list[str]) -> None:
    here.disconnect(socket.connection)
    for name in names:
        here.register.leave(Hold(name, "in", "ada"))


def errors() -> float:
    return sum(sample.value for family in metrics.REDIS_ERRORS.collect() for sample in family.samples)


async def test_a_flush_is_made_good_with_few_calls_and_no_errors(here, redis_server):  # noqa: F811  # the fixture
    """After an emptied Redis the node was busy for 17 s, and its log had 19,457 errors of the connection pool."""
    names = [f"room.{number}" for number in range(ROOMS)]
    enter(here, names)

    def shown() -> bool:
        feeds = [here.hub._feeds[name] for name in names]
        return all(feed.joined and not feed.is_behind(feed.version) and feed._value.names == ("ada",) for feed in feeds)

    first = await until(shown, "every room shows its member")
    versions = {name: here.hub._feeds[name].version for name in names}
    before, stats = errors(), redis_server.client.info("stats")
    redis_server.client.flushall()
    again = await until(
        lambda: all(here.hub._feeds[name].version > versions[name] for name in names) and shown(), "all are back"
    )
    commands = redis_server.client.info("stats")["total_reads_processed"] - stats["total_reads_processed"]
    logger.info("%d rooms: first in %.1f s, again in %.1f s, %d reads by Redis", ROOMS, first, again, commands)
    assert errors() == before
    assert commands < ROOMS
    assert len(redis_server.client.client_list()) < 40
