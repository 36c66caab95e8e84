"""The connect storm: many users at once, each of whom changes a count that all are told."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from loadtest.bench.servers import USERS
from loadtest.bench.stand import Stand

# Stock needs minutes; what it has not done by then is said, not waited for.
LIMIT_SECONDS = 180.0
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
        left = max(LIMIT_SECONDS - connected["seconds"], 1.0)
        settled = await generator.value(connected["open"], seconds=left)
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
