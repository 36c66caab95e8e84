"""The measure of idle connections: what each holds in memory, and what its connect cost."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from loadtest.bench.processes import BenchError
from loadtest.bench.stand import Stand

# The first connections load code and fill caches that no later one pays for.
WARM_UP_CLIENTS = 50
# Whatever a server does after a handshake (a first frame, a presence put) is done by then.
SETTLE_SECONDS = 2.0


async def measure_idle(stand: Stand, clients: int, variant: str) -> dict[str, Any]:
    """`variant` is "bare" or "authenticated"."""
    path = stand.server.fanout_path if variant == "authenticated" else stand.server.bare_path
    if variant == "authenticated" and stand.server.publisher == "layer":
        path = "/ws/ticks/"
    load = stand.load(path, clients)
    async with stand.clients(dataclasses.replace(load, clients=WARM_UP_CLIENTS)) as generator:
        await generator.connected()
        await generator.stop()
    await asyncio.sleep(SETTLE_SECONDS)
    rss, cpu, redis = stand.rss(), stand.cpu(), stand.redis_cpu()
    async with stand.clients(load) as generator:
        connected = await generator.connected()
        await asyncio.sleep(SETTLE_SECONDS)
        cpu, redis, rss_after = stand.cpu() - cpu, stand.redis_cpu() - redis, stand.rss()
        report = await generator.report()
    if report["open"] < clients:
        raise BenchError(f"{stand.server.name}: only {report['open']} of {clients} clients stayed: {report}")
    return {
        "measure": "idle",
        "clients": clients,
        "variant": variant,
        "rss_bytes": (rss_after - rss) / clients,
        "connect_cpu_ms": cpu / clients * 1e3,
        "redis_cpu_ms": redis / clients * 1e3,
        "seconds": connected["seconds"],
        "generator_cpu_ms": connected["cpu_seconds"] / clients * 1e3,
        "rss_before_bytes": rss,
    }
