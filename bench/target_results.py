"""The targets, each compared with the results of a run. Within the spread of the rounds a value is only equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from bench.compared_servers import find
from bench.measure_stall import STALLED
from bench.plan import STOCK
from bench.spread import Spread, compare
from bench.tables import FAULTS, Run, number

OURS = "tidewire"
# Of several ways to set up the same server, a target must hold against the cheapest.
NODES = ("ws", "ws-buffer")
STOCKS = tuple(name for name in STOCK if name != "daphne-patient")

TIMES_BELOW_STOCK = 20
BURST_US = 2.5
BURST_TIMES = 4
RSS_KIB = 18
TICKET_SHARE = 1 / 3
STORM_CLIENTS = 1000
STORM_SECONDS = 1.5
MAX_BACKLOG_BYTES = 256 * 1024
STALL_TIMES = 1.5
# Memory by which one run may differ from another without any stalled client.
NOISE_BYTES = 2 * 2**20

Met = Literal["met", "equal", "not met"]
# A value that must be low.
LOW: dict[str, Met] = {"below": "met", "equal": "equal", "above": "not met"}


@dataclasses.dataclass(frozen=True)
class Target:
    """A target. `met` is None if the run did not measure it, and "equal" if the spread leaves it open."""

    name: str
    wanted: str
    measured: str
    met: Met | None


def judge(run: Run) -> Iterator[Target]:
    for clients in (1000, 4000):
        yield from _cost(run, clients)
    yield _bursts(run)
    for clients in (1000, 4000):
        yield _latency(run, clients)
    yield _memory(run)
    yield _session(run)
    yield _ticket(run)
    yield _storm(run)
    yield from _stalled(run)
    yield _faults(run)


def cheapest(run: Run, servers: Sequence[str], measure: str, value: str, **wanted: object) -> tuple[str, Spread] | None:
    """Return the server with the lowest median of a value, and its spread."""
    spreads = {name: run.spread(measure, name, value, **wanted) for name in servers}
    found = [(name, spread) for name, spread in spreads.items() if spread is not None]
    return min(found, key=lambda each: each[1].median, default=None)


def _cost(run: Run, clients: int) -> Iterator[Target]:
    name = f"CPU per delivery, {clients:,} clients, single events"
    where = {"clients": clients, "mode": "single"}
    ours = run.spread("fanout", OURS, "cpu_us", **where)
    if ours is None:
        yield Target(name, "below npm `ws`", "not measured", None)
        return
    wanted = f"{TIMES_BELOW_STOCK} times below the cheapest stock"
    if node := cheapest(run, NODES, "fanout", "cpu_us", **where):
        yield Target(name, "below npm `ws`", _beside(ours, *node, "µs"), LOW[compare(ours, node[1])])
    else:
        yield Target(name, "below npm `ws`", "not measured", None)
    if stock := cheapest(run, STOCKS, "fanout", "cpu_us", **where):
        times = stock[1].median / ours.median
        verdict = LOW[compare(ours, stock[1], times=1 / TIMES_BELOW_STOCK)]
        yield Target(name, wanted, f"{_beside(ours, *stock, 'µs')}: {number(times)} times", verdict)
    else:
        yield Target(name, wanted, "not measured", None)


def _bursts(run: Run) -> Target:
    single, burst = (run.spread("fanout", OURS, "cpu_us", clients=1000, mode=mode) for mode in ("single", "burst"))
    wanted = f"{BURST_US} µs or less, or {BURST_TIMES} times cheaper per event than singles"
    if single is None or burst is None:
        return Target("bursts of ten, 1,000 clients", wanted, "not measured", None)
    verdicts = {compare(burst, BURST_US), compare(burst, single, times=1 / BURST_TIMES)}
    return Target(
        "bursts of ten, 1,000 clients",
        wanted,
        f"{number(burst.median)} µs; singles {number(single.median)} µs: {number(single.median / burst.median)} times",
        "met" if "below" in verdicts else "equal" if "equal" in verdicts else "not met",
    )


def _latency(run: Run, clients: int) -> Target:
    name = f"p99 latency, {clients:,} clients, single events"
    where = {"clients": clients, "mode": "single"}
    ours = run.spread("fanout", OURS, "latency_ms.p99", **where)
    node = cheapest(run, NODES, "fanout", "latency_ms.p99", **where)
    if ours is None or node is None:
        return Target(name, "below npm `ws`", "not measured", None)
    return Target(name, "below npm `ws`", _beside(ours, *node, "ms"), LOW[compare(ours, node[1])])


def _memory(run: Run) -> Target:
    name, wanted = "RSS per idle connection, each with a session", f"{RSS_KIB} KiB or less"
    ours = run.spread("idle", OURS, "rss_bytes", variant="session")
    if ours is None:
        return Target(name, wanted, "not measured", None)
    stock = cheapest(run, STOCKS, "idle", "rss_bytes", variant="session")
    measured = _beside(ours, *stock, "KiB", 1 / 1024) if stock else f"{number(ours.median / 1024)} KiB"
    return Target(name, wanted, measured, LOW[compare(ours, RSS_KIB * 1024)])


def _session(run: Run) -> Target:
    name, wanted = "CPU per connect, each with a session in SQLite", "below the cheapest stock"
    ours = run.spread("idle", OURS, "connect_cpu_ms", variant="session")
    stock = cheapest(run, STOCKS, "idle", "connect_cpu_ms", variant="session")
    if ours is None or stock is None:
        return Target(name, wanted, "not measured", None)
    return Target(name, wanted, _beside(ours, *stock, "ms"), LOW[compare(ours, stock[1])])


def _ticket(run: Run) -> Target:
    name, wanted = "CPU per connect with a ticket, which stock has not", "a third of its own with a session, or less"
    ticket, session = (run.spread("idle", OURS, "connect_cpu_ms", variant=variant) for variant in ("ticket", "session"))
    if ticket is None or session is None:
        return Target(name, wanted, "not measured", None)
    measured = f"{number(ticket.median)} ms; with a session {number(session.median)} ms"
    return Target(name, wanted, measured, LOW[compare(ticket, session, times=TICKET_SHARE)])


def _beside(ours: Spread, server: str, other: Spread, unit: str, scale: float = 1.0) -> str:
    values = [number(each.median * scale) for each in (ours, other)]
    return f"{values[0]} {unit}; {find(server).label} {values[1]} {unit}"


def _storm(run: Run) -> Target:
    name = f"{STORM_CLIENTS:,} users connecting at once, each changing the count"
    wanted = f"{STORM_SECONDS} s of CPU or less, no user refused, the last value right for all"
    ours = run.select("storm", OURS, clients=STORM_CLIENTS)
    cpu = run.spread("storm", OURS, "cpu_seconds", clients=STORM_CLIENTS)
    if cpu is None:
        return Target(name, wanted, "not measured", None)
    refused, wrong = (sum(record[value] for record in ours) for value in ("refused", "wrong"))
    settled = all(record["settled"] for record in ours)
    failed = _failed(run, "storm", clients=STORM_CLIENTS)
    measured = (
        f"{number(cpu.median)} s, {refused} refused, {wrong} wrong"
        f"{'' if settled else ', not settled'}{f', {failed} rounds failed' if failed else ''}"
    )
    all_right = not refused and not wrong and settled and not failed
    return Target(name, wanted, measured, LOW[compare(cpu, STORM_SECONDS)] if all_right else "not met")


def _stalled(run: Run) -> Iterator[Target]:
    name = f"{STALLED} stalled readers among 1,000"
    growth, growth_without = (
        run.median("stall", OURS, "rss_peak_growth_bytes", variant=variant) for variant in ("stalled", "")
    )
    p99, p99_without = (run.spread("stall", OURS, "latency_ms.p99", variant=variant) for variant in ("stalled", ""))
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
        "met" if more <= limit + NOISE_BYTES else "not met",
    )
    yield Target(
        name,
        f"the others' p99 within {STALL_TIMES} times of without them",
        f"{number(p99.median)} ms; without them {number(p99_without.median)} ms:"
        f" {number(p99.median / p99_without.median)} times",
        LOW[compare(p99, p99_without, times=STALL_TIMES)],
    )


def _faults(run: Run) -> Target:
    name, wanted = "lost, duplicated, reordered", "none, in every run"
    measures = [measure for measure in ("fanout", "stall") if run.select(measure, OURS)]
    if not measures:
        return Target(name, wanted, "not measured", None)
    counts = {fault: sum(run.total(measure, OURS, fault) for measure in measures) for fault in FAULTS}
    # An event that did not arrive in time leaves no gap if it was the last one.
    rare = {
        "not complete in time": sum(run.total(measure, OURS, "incomplete") for measure in measures),
        "rounds failed": sum(_failed(run, measure) for measure in ("fanout", "stall")),
    }
    counts |= {fault: count for fault, count in rare.items() if count}
    faults = ", ".join(f"{count} {fault}" for fault, count in counts.items())
    measured = f"{faults} of {run.total('fanout', OURS, 'deliveries'):,}"
    return Target(name, wanted, measured, "not met" if any(counts.values()) else "met")


def _failed(run: Run, measure: str, **wanted: object) -> int:
    """Return the number of our rounds without a result, which the medians of the others do not show."""
    return sum(
        record["measure"] == measure
        and record["server"] == OURS
        and all(record.get(name) == value for name, value in wanted.items())
        for record in run.errors()
    )
