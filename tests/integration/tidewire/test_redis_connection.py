"""A connection to Redis that has just been lost."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tidewire.redis.connections import TCPConnection


@pytest.mark.parametrize("turns", [0, 1, 5])
async def test_a_write_after_the_loss_is_a_lost_connection(redis_server, turns):
    """The asyncio of Python 3.13.5 raised a TypeError, which ended tasks that wait for Redis to return."""
    connection = TCPConnection(host="127.0.0.1", port=redis_server.port, socket_timeout=2)
    await connection.connect()
    connection._writer.transport.abort()
    for _ in range(turns):
        await asyncio.sleep(0)
    with pytest.raises(RedisConnectionError):
        await ping(connection)
    await connection.disconnect()


async def ping(connection):
    await connection.send_command("PING")
    await connection.read_response()
