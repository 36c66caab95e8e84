"""The connect storm: many users at once, each of which changes a count that is sent to all."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from bench.child_process import Answer
from bench.compared_servers import USERS
from bench.load_clients import Generator
from bench.server_under_test import ServerUnderTest

# Stock Channels can need minutes. Counts that are missing by then are reported as such.
LIMIT_SECONDS = 240.0
# If no message is sent for so long, a client without the right count cannot be expected to receive it later.
QUIET_SECONDS = 10
# A count that was right must stay right.
PROOF_SECONDS = 2.0


async def measure_storm(target: ServerUnderTest, clients: int) -> dict[str, Any]:
    """Connect all clients at once, and measure the time until each of them has the last count."""
    load = dataclasses.replace(
        target.load(USERS, clients, target.server.user_cookies),
        concurrency=0,
        connect_seconds=LIMIT_SECONDS,
        watch="count",
    )
    cpu, redis = target.cpu(), target.redis_cpu()
    async with target.clients(load) as generator:
        connected = await generator.connected()
        settled = await _wait_until_complete(generator, connected["open"], LIMIT_SECONDS - connected["seconds"])
        cpu, redis = target.cpu() - cpu, target.redis_cpu() - redis
        await asyncio.sleep(PROOF_SECONDS)
        proof = await generator.value(connected["open"], seconds=1.0)
        report = await generator.report()
    return {
        "measure": "storm",
        "clients": clients,
        "cpu_seconds": cpu,
        "redis_cpu_seconds": redis,
        "connected": connected["open"],
        "refused": connected["refused"] + connected["failed"],
        "status": connected["status"],
        "connect_seconds": connected["seconds"],
        "settled": settled["complete"],
        "settled_seconds": settled["seconds"],
        "wrong": proof["missing"],
        "deliveries": report["deliveries"],
        "closed": report["closed"],
    }


async def _wait_until_complete(generator: Generator, count: int, seconds: float) -> Answer:
    """Wait until all clients have this count, until nothing moves any more, or until the time is over."""
    quiet, deliveries = 0, -1
    settled = await generator.value(count, seconds=1.0)
    for _ in range(int(seconds)):
        if settled["complete"] or quiet >= QUIET_SECONDS:
            break
        quiet = quiet + 1 if settled["deliveries"] == deliveries else 0
        deliveries = settled["deliveries"]
        settled = await generator.value(count, seconds=1.0)
    return settled
