"""A run's use of the machine: CPU and memory of each service, growth over a soak, and the bottleneck."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from loadtest.run.figures import Moment
from loadtest.run.generator_health import Health
from loadtest.run.run_state import HOLD, Run

# Growth an hour has no meaning in a run of minutes: a tenth of the hold must have at least this many seconds.
GROWTH_LEAST_MOMENTS = 60
# A core or a machine with a greater average use counts as full, because some of its seconds are full.
FULL = 0.9
# Services of one process each, which cannot use more than one core.
ONE_PROCESS = ("ws", "redis", "relay")


def growth(run: Run) -> dict[str, float]:
    """Return the growth from the first to the last tenth of a long hold; their means hide single readings."""
    hold_moments = [moment for moment in run.figures.moments if moment.phase == HOLD]
    tenth = len(hold_moments) // 10
    if tenth < GROWTH_LEAST_MOMENTS:
        return {}
    first, last = hold_moments[:tenth], hold_moments[-tenth:]
    hours = (last[0].second - first[0].second) / 3600

    def mean(moments: Sequence[Moment], name: str) -> float:
        return sum(moment.memory.get(name, 0) for moment in moments) / len(moments)

    return {name: (mean(last, name) - mean(first, name)) / 2**20 / hours for name in sorted(hold_moments[-1].memory)}


def services(run: Run, since: int) -> dict[str, dict[str, float]]:
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    for moment in run.figures.moments:
        if moment.phase == HOLD and moment.second >= since:
            for name, share in moment.services.items():
                cpu[name].append(share)
    return {
        name: {
            "cpu_mean": sum(shares) / len(shares),
            "cpu_max": max(shares),
            "rss_mib": run.memory.get(name, 0) / 2**20,
        }
        for name, shares in sorted(cpu.items())
    }


def machine(run: Run, since: int) -> float:
    """Return the share of the machine's cores that all processes used while all users were live."""
    cores = [moment.machine for moment in run.figures.moments if moment.phase == HOLD and moment.second >= since]
    return sum(cores) / len(cores) / (os.cpu_count() or 1) if cores else 0.0


def bottleneck(health: Health, used: Mapping[str, Mapping[str, float]], whole: float) -> str:
    """Return the bottleneck as a sentence. A Python process can use one core."""
    if health.starved:
        return "the generator: its figures are not the server's"
    busiest = max(used.items(), key=lambda each: each[1]["cpu_mean"], default=None)
    generator = f"the generator used {health.cpu_mean:.0%} of its core"
    if busiest is None:
        return f"unknown: the services were not watched; {generator}"
    busy = f"{busiest[0]} with {busiest[1]['cpu_mean']:.0%} of a core"
    if busiest[1]["cpu_mean"] >= FULL and busiest[0].startswith(ONE_PROCESS):
        return f"{busy}, the most that one process can use; {generator}"
    if whole >= FULL:
        return f"the machine: {whole:.0%} of all its cores were used, most of it by {busy}; {generator}"
    return f"no process was at a visible limit: the busiest service was {busy}; {generator}"
