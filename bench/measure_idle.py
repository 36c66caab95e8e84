"""The measure of idle connections: the memory of each, and the cost of its connect."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from bench.compared_servers import AUTHENTICATED
from bench.paths import SESSIONS, TICKETS
from bench.server_processes import BenchError
from bench.server_under_test import ServerUnderTest

# The first connections load code and fill caches, a cost that later ones do not have.
WARM_UP_CLIENTS = 50
# A server's work after a handshake (a first frame, a presence put) must be complete by then.
SETTLE_SECONDS = 2.0
# As long as the longest interval of a server's pings, which is that of Centrifugo.
IDLE_SECONDS = 25.0


async def measure_idle(target: ServerUnderTest, clients: int, variant: str) -> dict[str, Any]:
    """Measure idle connections of this variant, of which "session" has a user's session cookie alone.

    "bare" has no cookie; "ticket" has tidewire's ticket beside the session, or Centrifugo's token.
    """
    if target.server.centrifugo:
        load = target.load(target.server.bare_path, clients, None)
        load = target.with_token(load) if variant == "ticket" else load
    else:
        path, cookies = {
            "bare": (target.server.bare_path, None),
            "session": (AUTHENTICATED, SESSIONS),
            "ticket": (AUTHENTICATED, TICKETS),
        }[variant]
        load = target.load(path, clients, cookies)
    async with target.clients(dataclasses.replace(load, clients=WARM_UP_CLIENTS)) as generator:
        await generator.connected()
        await generator.stop()
    await asyncio.sleep(SETTLE_SECONDS)
    rss, cpu, redis = target.rss(), target.cpu(), target.redis_cpu()
    async with target.clients(load) as generator:
        connected = await generator.connected()
        await asyncio.sleep(SETTLE_SECONDS)
        cpu, redis, rss_after = target.cpu() - cpu, target.redis_cpu() - redis, target.rss()
        idle = target.cpu()
        await asyncio.sleep(IDLE_SECONDS)
        idle = target.cpu() - idle
        report = await generator.report()
    if report["open"] < clients:
        raise BenchError(f"{target.server.name}: only {report['open']} of {clients} clients stayed: {report}")
    return {
        "measure": "idle",
        "clients": clients,
        "variant": variant,
        "rss_bytes": (rss_after - rss) / clients,
        "connect_cpu_ms": cpu / clients * 1e3,
        "idle_us_per_second": idle / IDLE_SECONDS / clients * 1e6,
        "redis_cpu_ms": redis / clients * 1e3,
        "seconds": connected["seconds"],
        "generator_cpu_ms": connected["cpu_seconds"] / clients * 1e3,
        "rss_before_bytes": rss,
    }
