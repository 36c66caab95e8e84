"""The server under test: its process, its clients, its publisher, and their use of resources."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from bench import centrifugo
from bench.child_process import ChildProcess, child_process
from bench.compared_servers import Server
from bench.load_clients import Generator, Load, generating
from bench.paths import HERE
from bench.redis_server import RedisServer
from bench.server_processes import Cores, serving
from deploy.local.layout import free_port
from testkit.process_usage import cpu_seconds, process_tree, rss_bytes

PUBLISH_SECONDS = 60.0
# A server that listens may still be loading code, which a server that has run for a day is not.
START_SECONDS = 1.5


@dataclasses.dataclass(frozen=True)
class Bench:
    """The resources that all measures share."""

    redis: RedisServer
    secret: str
    cores: Cores


class ServerUnderTest:
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
        return Load(
            port=self.port,
            path=path,
            clients=clients,
            cookies=cookies,
            socketio=self.server.socketio,
            centrifugo="" if self.server.centrifugo else None,
        )

    def fanout_load(self, clients: int) -> Load:
        load = self.load(self.server.fanout_path, clients, self.server.fanout_cookies)
        return self.with_token(load)

    def with_token(self, load: Load) -> Load:
        """Return the same clients, of Centrifugo with a token."""
        return dataclasses.replace(load, centrifugo=centrifugo.token()) if self.server.centrifugo else load

    @contextlib.asynccontextmanager
    async def clients(self, load: Load) -> AsyncIterator[Generator]:
        async with generating(load, core=self.bench.cores.others) as generator:
            yield generator

    @contextlib.asynccontextmanager
    async def publisher(self) -> AsyncIterator[Publisher]:
        server = self.server
        command = [sys.executable, "-m", "bench.event_publisher", server.publisher]
        if server.publisher == "emitter":
            command = ["node", str(HERE / "emitter.js")]
        env = server.environment(self.bench.redis.url, self.bench.secret) | {"BENCH_HTTP_PORT": str(self.port)}
        async with child_process("publisher", command, env=env, core=self.bench.cores.others) as child:
            yield Publisher(child)


class Publisher:
    """Publishes events numbered from 0, without a gap."""

    def __init__(self, child: ChildProcess) -> None:
        self._child = child
        self.published = 0

    async def publish(self, count: int, *, size: int) -> float:
        """Publish the next events, one after the other, and return the seconds that this took."""
        command = {"first": self.published, "count": count, "bytes": size}
        self.published += count
        answer = await self._child.ask(json.dumps(command), seconds=PUBLISH_SECONDS)
        return float(answer["seconds"])


@contextlib.asynccontextmanager
async def started_server(bench: Bench, server: Server) -> AsyncIterator[ServerUnderTest]:
    """Run a server, with an empty Redis, until the block ends."""
    bench.redis.empty()
    port = free_port()
    env = server.environment(bench.redis.url, bench.secret)
    async with serving(server.name, server.command(port), port=port, env=env, core=bench.cores.server) as pid:
        await asyncio.sleep(START_SECONDS)
        yield ServerUnderTest(bench, server, pid, port)
