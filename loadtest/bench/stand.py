"""The stand on which a server is measured: its process, its clients, its publisher, and their use of resources."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from loadtest.bench.accounting import cpu_seconds, process_tree, rss_bytes
from loadtest.bench.generator import Generator, Load, generating
from loadtest.bench.places import HERE
from loadtest.bench.processes import Cores, free_port, serving
from loadtest.bench.redis_server import RedisServer
from loadtest.bench.servers import Server
from loadtest.bench.talk import Talk, talking

PUBLISH_SECONDS = 60.0
# A server that listens may still be loading code, which a server that has run for a day is not.
START_SECONDS = 1.5


@dataclasses.dataclass(frozen=True)
class Bench:
    """The resources that all measures share."""

    redis: RedisServer
    secret: str
    cores: Cores


class Stand:
    """A running server that has no connections yet."""

    def __init__(self, bench: Bench, server: Server, pid: int, port: int) -> None:
        self.bench = bench
        self.server = server
        self.port = port
        # nginx and Node start all of their processes before they listen.
        self.pids = process_tree(pid)

    def cpu(self) -> float:
        return cpu_seconds(self.pids)

    def rss(self) -> int:
        return rss_bytes(self.pids)

    def redis_cpu(self) -> float:
        return cpu_seconds([self.bench.redis.pid])

    def load(self, path: str, clients: int, cookies: Path | None) -> Load:
        """Return clients as they come to this server; `dataclasses.replace` can add other behaviour."""
        return Load(port=self.port, path=path, clients=clients, cookies=cookies, socketio=self.server.socketio)

    def fanout_load(self, clients: int) -> Load:
        return self.load(self.server.fanout_path, clients, self.server.fanout_cookies)

    @contextlib.asynccontextmanager
    async def clients(self, load: Load) -> AsyncIterator[Generator]:
        async with generating(load, core=self.bench.cores.others) as generator:
            yield generator

    @contextlib.asynccontextmanager
    async def publisher(self) -> AsyncIterator[Publisher]:
        server = self.server
        command = [sys.executable, "-m", "loadtest.bench.publisher", server.publisher]
        if server.publisher == "emitter":
            command = ["node", str(HERE / "emitter.js")]
        env = server.environment(self.bench.redis.url, self.bench.secret) | {"BENCH_HTTP_PORT": str(self.port)}
        async with talking("publisher", command, env=env, core=self.bench.cores.others) as talk:
            yield Publisher(talk)


class Publisher:
    """Publishes events numbered from 0, without a gap."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.published = 0

    async def publish(self, count: int, *, size: int) -> float:
        """Publish the next events, one after the other, and return the seconds that this took."""
        order = {"first": self.published, "count": count, "bytes": size}
        self.published += count
        answer = await self._talk.ask(json.dumps(order), seconds=PUBLISH_SECONDS)
        return float(answer["seconds"])


@contextlib.asynccontextmanager
async def standing(bench: Bench, server: Server) -> AsyncIterator[Stand]:
    """Run a server, with an empty Redis, until the block ends."""
    bench.redis.empty()
    port = free_port()
    env = server.environment(bench.redis.url, bench.secret)
    async with serving(server.name, server.command(port), port=port, env=env, core=bench.cores.server) as pid:
        await asyncio.sleep(START_SECONDS)
        yield Stand(bench, server, pid, port)
