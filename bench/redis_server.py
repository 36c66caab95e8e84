"""A Redis of the bench's own: on a free port, without persistence, empty before each server under test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from redis import Redis

from bench.paths import LOOPBACK, REVOCATIONS_AT, VAR
from bench.server_processes import BenchError, serving
from deploy.local.layout import free_port
from deploy.local.system import find_program
from tidewire.redis.keys import Keys


class RedisServer:
    """The running Redis."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.url = f"redis://{LOOPBACK}:{port}/0"

    def empty(self) -> None:
        with Redis.from_url(self.url) as client:
            client.flushall()
            # The tickets are older than this Redis, so its revocations must begin at their position.
            epoch, _, offset = REVOCATIONS_AT.partition(":")
            client.hset(Keys("tidewire").position("revocations"), mapping={"epoch": epoch, "offset": offset})

    def version(self) -> str:
        with Redis.from_url(self.url) as client:
            return str(client.info("server")["redis_version"])


@contextlib.asynccontextmanager
async def redis_serving(core: int | None) -> AsyncIterator[RedisServer]:
    """Run Redis until the block ends."""
    program = find_program("redis-server", "valkey-server")
    if program is None:
        raise BenchError("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    command = [program, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"]
    command += ["--dir", str(VAR), "--daemonize", "no", "--maxclients", "15000"]
    async with serving("redis", command, port=port, env={}, core=core) as pid:
        yield RedisServer(pid, port)
