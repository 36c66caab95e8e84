"""A demoted primary behind one address: after a planned failover, connections stay with the server that refuses writes.

The address (a name, a virtual address, a proxy) leads new connections to the new primary. Open connections stay.
"""

import asyncio
import contextlib
import logging

import pytest
import redis.asyncio
import uvloop
from redis._parsers.resp3 import _AsyncRESP3Parser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

import tidewire.redis.clients
from tests.integration.tidewire.test_node import offsets
from tests.redis_servers import Address, Server, why_not
from tests.reports.redis_nodes import hall, until
from tidewire.redis.connections import disconnect_all, is_wrong_server, reconnects
from tidewire.redis.hosts import pool, redis_host

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
def pair(tmp_path):
    """A primary, its replica, and the address of the primary."""
    servers = [Server(tmp_path / name) for name in "ab"]
    try:
        for server in servers:
            server.start()
        servers[1].follow(servers[0])
        with Address(servers[0].port) as address:
            yield (*servers, address)
    finally:
        for server in servers:
            server.client.close()
            server.kill()


def switch(old: Server, new: Server, address: Address) -> None:
    """Perform a planned failover, which loses no write and closes no connection."""
    new.has_all_of(old)
    new.promote()
    old.client.replicaof("127.0.0.1", str(new.port))
    address.port = new.port


async def test_nodes_follow_to_the_new_primary_and_hear_hints_there(pair, settings, caplog):
    """Since the maintenance of Redis all pages showed "out of date", and only a restart of the nodes helped.

    Members and events must continue without a reload. Hints must arrive too, so the check of each hub is off.
    """
    old, new, address = pair
    async with hall(settings, address.url) as here:
        here.enter("ada", "bob", "eve")
        await here.cluster.say(2)
        await here.wait_until_right()
        await until(lambda: all(offsets(talk) == [1, 2] for talk in here.talks))
        with caplog.at_level(logging.CRITICAL):
            await asyncio.to_thread(switch, old, new, address)
            here.leave("ada")
            here.enter("new")
            await here.heals("planned failover behind one address")
            # The old primary must no longer be a replica, which would pass on the messages of the new one.
            old.client.replicaof("NO", "ONE")
            checks = [node.hub._check for node in here.cluster.nodes]
            for node in here.cluster.nodes:
                node.hub._check = _nothing
            await until(lambda: all(_subscribers(server) == count for server, count in ((old, 0), (new, 1))))
            # A hint may be lost while the last connections are aborted. Without the check, the next hint must recover
            # it.
            async with asyncio.timeout(20):
                while not all(len(offsets(talk)) > 2 for talk in here.talks):
                    await here.cluster.say()
                    await asyncio.sleep(0.3)
            for node, check in zip(here.cluster.nodes, checks, strict=True):
                node.hub._check = check
            newest = next(here.cluster.numbers) - 1
            await until(lambda: all(offsets(talk) == list(range(1, newest + 1)) for talk in here.talks))
        assert not any(node.hub.stale for node in here.cluster.nodes)
        for talk in here.talks:
            assert not [event for event in talk.events if event["type"] == "resumed" and not event["recovered"]]


async def test_the_first_write_after_a_failover_succeeds(pair):
    """An idle publisher failed once for each connection of its pool."""
    old, new, address = pair
    client = redis.asyncio.Redis.from_pool(pool(redis_host(address.url) | {"max_connections": 8, "timeout": 2.0}))
    try:
        await asyncio.gather(*(client.set(f"before-{n}", n) for n in range(20)))
        await asyncio.to_thread(switch, old, new, address)
        async with client.pipeline(transaction=False) as pipe:
            for n in range(20):
                pipe.set(f"after-{n}", n)
            await pipe.execute()
        await asyncio.gather(*(client.set(f"later-{n}", n) for n in range(20)))
        assert new.client.exists(*(f"after-{n}" for n in range(20)), *(f"later-{n}" for n in range(20))) == 40
    finally:
        await client.aclose()


async def test_reads_leave_the_demoted_primary_too(pair):
    """After one write has reached the replica, idle connections must not go on reading its outdated data."""
    old, new, address = pair
    client = redis.asyncio.Redis.from_pool(pool(redis_host(address.url) | {"max_connections": 8, "timeout": 2.0}))
    try:
        await asyncio.gather(*(client.get("x") for _ in range(20)))
        await asyncio.to_thread(switch, old, new, address)
        await client.set("x", "new")
        old.client.replicaof("127.0.0.1", "1")
        new.client.set("x", "newer")
        assert await asyncio.gather(*(client.get("x") for _ in range(20))) == [b"newer"] * 20
        await asyncio.to_thread(new.until, lambda: _clients(old) == 0)
    finally:
        await client.aclose()


async def test_a_server_that_hangs_costs_one_wait(pair, monkeypatch):
    """After the old host lost its network, each connection of the pool waited its two seconds, one after the other."""
    old, new, address = pair
    host = redis_host(address.url) | {"max_connections": 8, "timeout": 2.0, "socket_timeout": 1.0}
    client = redis.asyncio.Redis.from_pool(pool(host))
    monkeypatch.setattr(tidewire.redis.clients, "client", lambda: client)
    try:
        await asyncio.gather(*(client.get("x") for _ in range(20)))
        with old.paused():
            address.port = new.port
            new.client.replicaof("NO", "ONE")
            failed = 0
            for _ in range(8):
                with contextlib.suppress(tidewire.redis.clients.RedisUnavailable):
                    async with tidewire.redis.clients.redis_client() as primary:
                        await primary.set("x", 1)
                    break
                failed += 1
            assert failed <= 1
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("reply", "is_wrong"),
    [
        ("READONLY You can't write against a read only replica.", True),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True),
        ("NOREPLICAS Not enough good replicas to write.", True),
        ("CLUSTERDOWN The cluster is down", True),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", True),
        ("NOPERM this user has no permissions to run the 'publish' command", False),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("OOM command not allowed when used memory > 'maxmemory'.", False),
        ("NOSCRIPT No matching script.", False),
        ("MISCONF Redis is configured to save RDB snapshots", False),
        ("ERR value is not an integer or out of range", False),
    ],
)
def test_which_replies_are_of_a_wrong_server(reply, is_wrong):
    """Errors as redis-py reads them from the wire. A correct server that refuses one command keeps its connections."""
    error = _AsyncRESP3Parser.parse_error(reply)
    assert isinstance(error, ResponseError)
    assert is_wrong_server(error) == is_wrong


async def test_a_connection_that_was_lost_and_made_again_is_counted(pair):
    """A reconnection lets a node detect that Redis may be another one. The growth of a pool must not count as one."""
    _, _, address = pair
    client = redis.asyncio.Redis.from_pool(pool(redis_host(address.url) | {"max_connections": 8, "timeout": 2.0}))
    try:
        before = reconnects()
        await asyncio.gather(*(client.get("x") for _ in range(20)))
        assert reconnects() == before
        disconnect_all()
        await client.get("x")
        assert reconnects() > before
    finally:
        await client.aclose()


def test_commands_that_are_under_way_survive_a_cut_on_the_servers_event_loop(pair):
    """After the failover the log had "unable to perform operation on TCPTransport; the handler is closed" (uvloop)."""
    _, _, address = pair

    async def run() -> None:
        client = redis.asyncio.Redis.from_pool(pool(redis_host(address.url) | {"max_connections": 8, "timeout": 2.0}))

        async def write(number: int) -> None:
            for turn in range(50):
                await client.set(f"key-{number}", turn)

        async def disconnect() -> None:
            for _ in range(20):
                disconnect_all()
                await asyncio.sleep(0.02)

        try:
            results = await asyncio.gather(*(write(n) for n in range(8)), disconnect(), return_exceptions=True)
        finally:
            await client.aclose()
        # Two aborted connections in one command are an outage, for which callers expect this error and no other.
        assert {type(result) for result in results} <= {type(None), RedisConnectionError}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def _nothing() -> None:
    pass


def _subscribers(server: Server) -> int:
    return sum(count > 0 for _, count in server.client.pubsub_numsub("asgi__group__tidewire.talk")) or len(
        [name for name in server.client.pubsub_channels() if "talk" in name]
    )


def _clients(server: Server) -> int:
    """Return the number of connections through the test's address, without this client's own and replication."""
    listed = server.client.client_list(_type="normal")
    return len([each for each in listed if each["cmd"] != "client|list" and each["id"] != server.client.client_id()])
