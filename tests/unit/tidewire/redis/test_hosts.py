"""The location of Redis, for the channel layer and the library: an address, or the primary that Sentinels name."""

import asyncio

import pytest
from channels_redis.utils import create_pool
from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from tidewire.redis.hosts import pool, redis_host

SENTINELS = ("10.0.0.1:26379", "[::1]:26380")


def test_without_sentinels_it_is_the_address():
    """The URL's address, with its user, password and database."""
    connection_pool = pool(redis_host("redis://ada:secret@10.0.0.9:6380/3"))
    options = connection_pool.connection_kwargs
    assert isinstance(connection_pool, BlockingConnectionPool)
    assert (options["host"], options["port"], options["username"], options["password"], options["db"]) == (
        "10.0.0.9",
        6380,
        "ada",
        "secret",
        3,
    )


@pytest.mark.parametrize("make", [pool, create_pool], ids=["the library", "the channel layer"])
def test_with_sentinels_it_is_the_primary_they_name(make):
    """Everything else comes from the URL, except its host, which is not used."""
    host = redis_host("redis://ada:secret@ignored:1/3", sentinels=SENTINELS, master="tide", sentinel_password="other")
    pool = make(host)
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "tide"
    options = pool.connection_kwargs
    assert (options["username"], options["password"], options["db"]) == ("ada", "secret", 3)
    assert "host" not in options
    asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"], each["password"]) for each in asked] == [
        ("10.0.0.1", 26379, "other"),
        ("::1", 26380, "other"),
    ]


def test_a_sentinel_that_is_gone_is_asked_once_and_not_for_long():
    """The next Sentinel must be asked within the timeout of a caller that waits for a connection."""
    connection_pool = pool(redis_host("redis://h", sentinels=SENTINELS))
    assert isinstance(connection_pool, SentinelConnectionPool)
    for sentinel in connection_pool.sentinel_manager.sentinels:
        options = sentinel.connection_pool.connection_kwargs
        assert options["socket_timeout"] + options["socket_connect_timeout"] <= 1.0
        assert options["retry"]._retries == 0


def test_tls_reaches_the_primary_and_the_sentinels():
    """The scheme rediss applies to all connections."""
    connection_pool = pool(redis_host("rediss://h/0", sentinels=SENTINELS))
    assert isinstance(connection_pool, SentinelConnectionPool)
    assert issubclass(connection_pool.connection_class, SSLConnection)
    assert issubclass(connection_pool.connection_class, SentinelManagedConnection)
    assert all(
        each.connection_pool.connection_class is SSLConnection for each in connection_pool.sentinel_manager.sentinels
    )


@pytest.mark.parametrize("sentinels", [(), SENTINELS])
async def test_whoever_is_one_too_many_waits_for_a_connection(sentinels):
    """A storm of reads is served one after another instead of being refused."""
    connection_pool = pool(
        redis_host("redis://127.0.0.1:1", sentinels=sentinels) | {"max_connections": 1, "timeout": 5}
    )
    connection_pool._in_use_connections.add(connection_pool.make_connection())
    waiting = asyncio.ensure_future(Redis(connection_pool=connection_pool).ping())
    # A pool that does not wait would refuse the connection at once.
    await asyncio.sleep(1)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("odd", ["redis1", ":26379", "redis1:", "redis1:tcp"])
def test_an_odd_sentinel_is_named(odd):
    """The error is raised before any connection is opened."""
    with pytest.raises(ImproperlyConfigured, match="a Sentinel is named host:port, not"):
        redis_host("redis://h", sentinels=[odd])


def test_a_stale_connection_is_tried_once_more():
    """A connection that Redis has closed fails once, so a second failure is an outage."""
    assert pool(redis_host("redis://h")).connection_kwargs["retry"]._retries == 1
    assert RedisConnectionError in pool(redis_host("redis://h")).connection_kwargs["retry"]._supported_errors
