"""Runs a step with a server of its own, and describes its result in a line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench.compared_servers import find
from bench.disturbance import Watch
from bench.measure_fanout import measure_fanout
from bench.measure_idle import measure_idle
from bench.measure_stall import measure_stall
from bench.measure_storm import measure_storm
from bench.plan import Plan, Step
from bench.results import Record
from bench.server_processes import BenchError
from bench.server_under_test import Bench, ServerUnderTest, started_server
from bench.tables import FAULTS

# If other processes take more than this share of the machine, they may cause latencies as much as the server does.
CALM = 0.05
FLAWS = ("error", *FAULTS, "incomplete", "refused", "wrong")


async def calmest(measure: Callable[[], Awaitable[list[Record]]], tries: int = 3) -> list[Record]:
    """Return the records of the least disturbed attempt; a calm one is the last. Each repetition is announced.

    An attempt with an error, or with a fault for a client, must not be replaced by another.
    """
    attempts: list[list[Record]] = []
    records: list[Record] = []
    while len(attempts) < tries:
        records = await measure()
        attempts.append(records)
        if any(record.get(flaw) for record in records for flaw in FLAWS):
            break
        disturbance = records[0]["disturbance"]
        if disturbance <= CALM:
            break
        if len(attempts) < tries:
            said = f"other processes took {disturbance:.0%} of the machine, {CALM:.0%} at most: measured again"
            print(f"    {said} ({len(attempts) + 1} of {tries})", flush=True)
    else:
        records = min(attempts, key=lambda each: float(each[0]["disturbance"]))
    return [{**record, "tries": len(attempts)} for record in records]


async def run_step(bench: Bench, step: Step, plan: Plan) -> list[Record]:
    """Return the records of a step. A server that fails gets a record too, and the run goes on."""
    watch = Watch(bench.redis.pid)
    try:
        async with started_server(bench, find(step.server)) as target:
            records = await _measure(target, step, plan)
    except BenchError as error:
        records = [{"measure": step.measure, "clients": step.clients, "variant": step.variant, "error": str(error)}]
    around = {"server": step.server, "round": step.round, "disturbance": watch.disturbance()}
    return [{**around, **record} for record in records]


async def _measure(target: ServerUnderTest, step: Step, plan: Plan) -> list[Record]:
    match step.measure:
        case "fanout":
            return await measure_fanout(target, step.clients, plan.dose)
        case "idle":
            return [await measure_idle(target, step.clients, step.variant)]
        case "storm":
            return [await measure_storm(target, step.clients)]
        case "stall":
            return [await measure_stall(target, step.clients, step.variant)]


def describe(record: Record) -> str:
    """Return the result of a step as a line."""
    if "error" in record:
        return f"failed: {record['error']}"
    if record.get("disturbance", 0.0) > CALM:
        calm = {**record, "disturbance": 0.0}
        return f"{describe(calm)} (disturbed: other processes took {record['disturbance']:.0%} of the machine)"
    match record["measure"]:
        case "fanout":
            latency = record["latency_ms"]
            wrong = {name: record[name] for name in ("lost", "duplicated", "reordered") if record[name]}
            return (
                f"{record['mode']} {record['cpu_us']:.1f} us CPU per delivery, "
                f"p50 {latency['p50']:.1f} p99 {latency['p99']:.1f} ms{f', {wrong}' if wrong else ''}"
            )
        case "idle":
            return (
                f"{record['rss_bytes'] / 1024:.1f} KiB and {record['connect_cpu_ms']:.2f} ms CPU per connection, "
                f"{record['idle_us_per_second']:.1f} us a second while it is idle"
            )
        case "storm":
            end = (
                f"settled in {record['settled_seconds']:.1f} s"
                if record["settled"]
                else f"not settled after {record['settled_seconds']:.1f} s"
            )
            return f"{record['cpu_seconds']:.2f} s CPU, {end}, {record['refused']} refused, {record['wrong']} wrong"
    return (
        f"RSS {record['rss_growth_bytes'] / 2**20:+.1f} MiB (peak {record['rss_peak_growth_bytes'] / 2**20:+.1f}), "
        f"p99 {record['latency_ms']['p99']:.1f} ms, {record['stalled_closed']} disconnected"
    )
