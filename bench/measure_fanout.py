"""The measure of fan-out: the server's CPU for each delivery, latency, and lost, duplicated or reordered events."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from bench.load_clients import Generator
from bench.server_processes import BenchError
from bench.server_under_test import Publisher, ServerUnderTest
from bench.spread import per_delivery_us

Record = dict[str, Any]

EVENT_BYTES = 160
BURST = 10
# After the last handshake a server may still be subscribing, so the first event must wait.
SETTLE_SECONDS = 1.0
# The server is idle between two fan-outs, so that none can wait in another's queue.
PAUSE_SECONDS = 0.02
WAIT_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Dose:
    """The amount to publish: for `seconds`, at least `least` and at most `most` times."""

    seconds: float
    least: int
    most: int


async def measure_fanout(target: ServerUnderTest, clients: int, doses: dict[str, Dose]) -> list[Record]:
    """Return a record for each mode of `doses` ("single", "burst"), all over the same connections."""
    records: list[Record] = []
    load = target.fanout_load(clients)
    async with target.publisher() as publisher, target.clients(load) as generator:
        connected = await generator.connected()
        if connected["open"] < clients:
            raise BenchError(
                f"{target.server.name}: only {connected['open']} of {clients} clients connected: {connected}"
            )
        await asyncio.sleep(SETTLE_SECONDS)
        await publish_once(generator, publisher, 1, size=EVENT_BYTES)
        for mode, dose in doses.items():
            records.append({"clients": clients, **await _measure(target, generator, publisher, mode, dose)})
    return records


async def _measure(
    target: ServerUnderTest, generator: Generator, publisher: Publisher, mode: str, dose: Dose
) -> Record:
    count = BURST if mode == "burst" else 1
    await publish_once(generator, publisher, count, size=EVENT_BYTES)
    await generator.reset()
    before = await generator.report()
    cpu, redis = target.cpu(), target.redis_cpu()
    loop = asyncio.get_running_loop()
    started = loop.time()
    times, incomplete = 0, 0
    while times < dose.least or (times < dose.most and loop.time() - started < dose.seconds):
        incomplete += not await publish_once(generator, publisher, count, size=EVENT_BYTES)
        await asyncio.sleep(PAUSE_SECONDS)
        times += 1
    cpu, redis = target.cpu() - cpu, target.redis_cpu() - redis
    after = await generator.report()
    deliveries = after["deliveries"] - before["deliveries"]
    return {
        "measure": "fanout",
        "mode": mode,
        "events": times * count,
        "deliveries": deliveries,
        "cpu_us": per_delivery_us(cpu, deliveries),
        "redis_cpu_us_per_event": redis / (times * count) * 1e6,
        "generator_us": per_delivery_us(after["work_seconds"] - before["work_seconds"], deliveries),
        "latency_ms": after["latency_ms"],
        "incomplete": incomplete,
        "bytes_per_delivery": (after["bytes"] - before["bytes"]) / max(deliveries, 1),
        **{name: after[name] - before[name] for name in ("lost", "duplicated", "reordered", "closed", "malformed")},
    }


async def publish_once(generator: Generator, publisher: Publisher, count: int, *, size: int) -> bool:
    """Publish, wait for all clients to receive the events, and return whether all did so in time."""
    # Expected before publishing, so that the generator is awake when the first delivery arrives.
    await generator.expect(publisher.published + count, seconds=WAIT_SECONDS)
    await publisher.publish(count, size=size)
    arrived = await generator.arrived()
    return bool(arrived["complete"])
