"""The targets, each compared with the results of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from bench.measure_stall import STALLED
from bench.tables import FAULTS, Run, number

OURS, NODE, CORE, PUBSUB = "tidewire", "ws", "daphne-core", "daphne-pubsub"

TIMES_BELOW_CORE = 20
BURST_US = 2.5
BURST_TIMES = 4
RSS_KIB = 18
CONNECT_SHARE = 1 / 3
STORM_CLIENTS = 1000
STORM_SECONDS = 1.5
MAX_BACKLOG_BYTES = 256 * 1024
STALL_TIMES = 1.5
# Memory by which one run may differ from another without any stalled client.
NOISE_BYTES = 2 * 2**20


@dataclasses.dataclass(frozen=True)
class Target:
    """A target. `met` is None if the run did not measure it."""

    name: str
    wanted: str
    measured: str
    met: bool | None


def judge(run: Run) -> Iterator[Target]:
    for clients in (1000, 4000):
        yield from _cost(run, clients)
    yield _bursts(run)
    for clients in (1000, 4000):
        yield _latency(run, clients)
    yield _memory(run)
    yield _connect(run)
    yield _storm(run)
    yield from _stalled(run)
    yield _faults(run)


def _cost(run: Run, clients: int) -> Iterator[Target]:
    ours, node, core = (
        run.median("fanout", server, "cpu_us", clients=clients, mode="single") for server in (OURS, NODE, CORE)
    )
    name = f"CPU per delivery, {clients:,} clients, single events"
    if ours is None:
        yield Target(name, "at or below npm `ws`", "not measured", None)
        return
    if node is not None:
        yield Target(name, "at or below npm `ws`", f"{number(ours)} µs; `ws` {number(node)} µs", ours <= node)
    if core is not None:
        yield Target(
            name,
            f"at least {TIMES_BELOW_CORE} times below stock core",
            f"{number(ours)} µs; core {number(core)} µs: {number(core / ours)} times",
            core >= TIMES_BELOW_CORE * ours,
        )


def _bursts(run: Run) -> Target:
    single, burst = (run.median("fanout", OURS, "cpu_us", clients=1000, mode=mode) for mode in ("single", "burst"))
    wanted = f"{BURST_US} µs or less, or {BURST_TIMES} times cheaper per event than singles"
    if single is None or burst is None:
        return Target("bursts of ten, 1,000 clients", wanted, "not measured", None)
    return Target(
        "bursts of ten, 1,000 clients",
        wanted,
        f"{number(burst)} µs; singles {number(single)} µs: {number(single / burst)} times",
        burst <= BURST_US or single >= BURST_TIMES * burst,
    )


def _latency(run: Run, clients: int) -> Target:
    name = f"p99 latency, {clients:,} clients, single events"
    ours, node = (
        run.median("fanout", server, "latency_ms.p99", clients=clients, mode="single") for server in (OURS, NODE)
    )
    if ours is None or node is None:
        return Target(name, "at or below npm `ws`", "not measured", None)
    return Target(name, "at or below npm `ws`", f"{number(ours)} ms; `ws` {number(node)} ms", ours <= node)


def _memory(run: Run) -> Target:
    name, wanted = "RSS per idle authenticated connection", f"{RSS_KIB} KiB or less"
    ours = run.median("idle", OURS, "rss_bytes", variant="ticket")
    if ours is None:
        return Target(name, wanted, "not measured", None)
    stock = run.median("idle", PUBSUB, "rss_bytes", variant="session")
    beside = f"; stock pubsub {number(stock / 1024)} KiB" if stock else ""
    return Target(name, wanted, f"{number(ours / 1024)} KiB{beside}", ours <= RSS_KIB * 1024)


def _connect(run: Run) -> Target:
    name, wanted = "CPU per authenticated connect", "a third of stock with a SQLite session, or less"
    ours = run.median("idle", OURS, "connect_cpu_ms", variant="ticket")
    stock = run.median("idle", PUBSUB, "connect_cpu_ms", variant="session")
    if ours is None or stock is None:
        return Target(name, wanted, "not measured", None)
    measured = f"{number(ours)} ms; stock pubsub {number(stock)} ms: {number(stock / ours)} times"
    return Target(name, wanted, measured, ours <= stock * CONNECT_SHARE)


def _storm(run: Run) -> Target:
    name = f"{STORM_CLIENTS:,} users connecting at once, each changing the count"
    wanted = f"{STORM_SECONDS} s of CPU or less, no user refused, the last value right for all"
    ours = run.select("storm", OURS, clients=STORM_CLIENTS)
    cpu = run.median("storm", OURS, "cpu_seconds", clients=STORM_CLIENTS)
    if cpu is None:
        return Target(name, wanted, "not measured", None)
    refused, wrong = (sum(record[value] for record in ours) for value in ("refused", "wrong"))
    settled = all(record["settled"] for record in ours)
    measured = f"{number(cpu)} s, {refused} refused, {wrong} wrong{'' if settled else ', not settled'}"
    return Target(name, wanted, measured, cpu <= STORM_SECONDS and not refused and not wrong and settled)


def _stalled(run: Run) -> Iterator[Target]:
    name = f"{STALLED} stalled readers among 1,000"
    growth, growth_without = (
        run.median("stall", OURS, "rss_peak_growth_bytes", variant=variant) for variant in ("stalled", "")
    )
    p99, p99_without = (run.median("stall", OURS, "latency_ms.p99", variant=variant) for variant in ("stalled", ""))
    limit = STALLED * MAX_BACKLOG_BYTES
    wanted = f"RSS grows by {limit / 2**20:.2f} MiB (bound x readers) at most, within {NOISE_BYTES >> 20} MiB of noise"
    if growth is None or growth_without is None or p99 is None or p99_without is None:
        yield Target(name, wanted, "not measured", None)
        return
    more = max(growth, 0.0) - max(growth_without, 0.0)
    yield Target(
        name,
        wanted,
        f"{growth / 2**20:+.1f} MiB at its peak; {growth_without / 2**20:+.1f} MiB without them",
        more <= limit + NOISE_BYTES,
    )
    yield Target(
        name,
        f"the others' p99 within {STALL_TIMES} times of without them",
        f"{number(p99)} ms; without them {number(p99_without)} ms: {number(p99 / p99_without)} times",
        p99 <= STALL_TIMES * p99_without,
    )


def _faults(run: Run) -> Target:
    measures = [measure for measure in ("fanout", "stall") if run.select(measure, OURS)]
    counts = {fault: sum(run.total(measure, OURS, fault) for measure in measures) for fault in FAULTS}
    if not measures:
        return Target("lost, duplicated, reordered", "none, in every run", "not measured", None)
    deliveries = run.total("fanout", OURS, "deliveries")
    faults = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    return Target(
        "lost, duplicated, reordered", "none, in every run", f"{faults} of {deliveries:,}", not any(counts.values())
    )
