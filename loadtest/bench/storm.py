"""The connect storm: many users at once, each of whom changes a count that all are told."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from loadtest.bench.generator import Generator
from loadtest.bench.servers import USERS
from loadtest.bench.stand import Stand
from loadtest.bench.talk import Answer

# Stock needs minutes; what it has not done by then is said, not waited for.
LIMIT_SECONDS = 240.0
# Nothing was said to anybody for so long: whoever has not the right count now will not get it.
QUIET_SECONDS = 10
# A count that was right must stay right.
PROOF_SECONDS = 2.0


async def measure_storm(stand: Stand, clients: int) -> dict[str, Any]:
    """All connect at once; then how long until every one of them has the last count."""
    load = dataclasses.replace(
        stand.load(USERS, clients, stand.server.user_cookies),
        concurrency=0,
        connect_seconds=LIMIT_SECONDS,
        watch="count",
    )
    cpu, redis = stand.cpu(), stand.redis_cpu()
    async with stand.clients(load) as generator:
        connected = await generator.connected()
        settled = await _settle(generator, connected["open"], LIMIT_SECONDS - connected["seconds"])
        cpu, redis = stand.cpu() - cpu, stand.redis_cpu() - redis
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


async def _settle(generator: Generator, count: int, seconds: float) -> Answer:
    """Waits until all have that count, or nothing moves any more, or the time is over."""
    quiet, deliveries = 0, -1
    settled = await generator.value(count, seconds=1.0)
    for _ in range(int(seconds)):
        if settled["complete"] or quiet >= QUIET_SECONDS:
            break
        quiet = quiet + 1 if settled["deliveries"] == deliveries else 0
        deliveries = settled["deliveries"]
        settled = await generator.value(count, seconds=1.0)
    return settled
