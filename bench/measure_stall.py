"""The measure of slow consumers: some clients stop reading, at a cost in memory, and in latency for the others."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from bench.measure_fanout import SETTLE_SECONDS, publish_once
from bench.server_processes import BenchError
from bench.server_under_test import ServerUnderTest

STALLED = 5
EVENT_BYTES = 4096
# So much for each stalled client that no kernel's buffers can hold it.
EVENTS = 1000
EVENTS_PER_SECOND = 25.0
# Until the heaps have the size that this traffic needs in any case.
WARM_UP_EVENTS = 50
# A stalled client's receive buffer, which must be small so that it is full at once.
RECEIVE_BYTES = 4096
# Stock Channels can take a quarter of a second for each event.
LIMIT_SECONDS = 90.0


async def measure_stall(target: ServerUnderTest, clients: int, variant: str) -> dict[str, Any]:
    """`variant` is "stalled", or "" for the same without a stalled client."""
    load = target.fanout_load(clients)
    if variant:
        load = dataclasses.replace(load, stall=STALLED, stall_bytes=RECEIVE_BYTES)
    loop = asyncio.get_running_loop()
    async with target.publisher() as publisher, target.clients(load) as generator:
        connected = await generator.connected()
        if connected["open"] < clients:
            raise BenchError(f"{target.server.name}: only {connected['open']} of {clients} connected: {connected}")
        await asyncio.sleep(SETTLE_SECONDS)
        for _ in range(WARM_UP_EVENTS):
            await publish_once(generator, publisher, 1, size=EVENT_BYTES)
        await generator.reset()
        rss = peak = target.rss()
        cpu, started = target.cpu(), loop.time()
        for number in range(EVENTS):
            if loop.time() - started > LIMIT_SECONDS:
                break
            await asyncio.sleep(started + number / EVENTS_PER_SECOND - loop.time())
            await publish_once(generator, publisher, 1, size=EVENT_BYTES)
            peak = max(peak, target.rss())
        seconds, cpu, end = loop.time() - started, target.cpu() - cpu, target.rss()
        report = await generator.report()
    return {
        "measure": "stall",
        "clients": clients,
        "variant": variant,
        "events": publisher.published - WARM_UP_EVENTS,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rss_growth_bytes": end - rss,
        "rss_peak_growth_bytes": peak - rss,
        "latency_ms": report["latency_ms"],
        **{name: report[name] for name in ("lost", "duplicated", "reordered", "closed", "stalled_closed")},
    }
