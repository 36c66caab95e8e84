"""What a run measured: latencies by name and what happened in each second. Owns the numbers, reads no clock."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PERCENTILES = (50.0, 95.0, 99.0, 99.9)

DELIVERY = "notification.created"
INTENDED = "notification.created, from the intended save"
DOCUMENTS = "documents.status"
COUNT = "users.count, consistent"
HANDSHAKE = "handshake"
RESUME = "resume"
# Events from before a socket stood somewhere, from then on: between a page and its socket, or in a tunnel.
REPLAY = "notification.created, made up for"
HEARTBEAT = "heartbeat"


def percentile(counts: Mapping[float, int], percent: float) -> float:
    """The least value that so many percent do not exceed (nearest rank). Raises `ValueError` on none."""
    return percentiles(counts, (percent,))[0]


def percentiles(counts: Mapping[float, int], wanted: Sequence[float]) -> list[float]:
    """The same for several, which stand in rising order."""
    total = sum(counts.values())
    if not total:
        raise ValueError("no value to take a percentile of")
    found: list[float] = []
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        while len(found) < len(wanted) and passed >= max(1, math.ceil(total * wanted[len(found)] / 100)):
            found.append(value)
    return found


class Latencies:
    """How often each value, in milliseconds to three digits, came in each second of the run.

    Bounded by the digits and not by the deliveries, and so that what several processes saw adds up.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[int, Counter[float]] = defaultdict(Counter)

    def add(self, second: int, value_ms: float, times: int = 1) -> None:
        self.seconds[max(0, second)][float(f"{value_ms:.3g}")] += times

    @property
    def total(self) -> int:
        return sum(found.total() for found in self.seconds.values())

    def counts(self, *, since: int = 0, until: float = math.inf) -> Counter[float]:
        """How often each value came from one second to before another."""
        counts: Counter[float] = Counter()
        for second, found in self.seconds.items():
            if since <= second < until:
                counts.update(found)
        return counts


@dataclass(frozen=True, slots=True)
class Summary:
    """One figure over the run, in milliseconds."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    p99_9: float
    maximum: float

    @classmethod
    def of(cls, counts: Mapping[float, int]) -> Summary:
        total = sum(counts.values())
        p50, p95, p99, p99_9 = percentiles(counts, PERCENTILES)
        mean = sum(value * times for value, times in counts.items()) / total
        return cls(total, mean, p50, p95, p99, p99_9, max(counts))


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stood at one second of the run. `services` is the CPU of each, as a share of one core."""

    second: int
    phase: str
    users: int
    sockets: int
    generator_cpu: float
    generator_lag_ms: float
    services: Mapping[str, float]
    # Of each service, in bytes.
    memory: Mapping[str, int] = field(default_factory=dict)


class Figures:
    """All of a run's numbers; `second` everywhere is since its start."""

    def __init__(self) -> None:
        self.latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        # Messages that reached clients, by event type and second.
        self.deliveries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.moments: list[Moment] = []

    def summaries(self, *, since: int = 0, until: float = math.inf) -> dict[str, Summary]:
        """By name; without those that have nothing in that time."""
        found = {name: each.counts(since=since, until=until) for name, each in sorted(self.latencies.items())}
        return {name: Summary.of(counts) for name, counts in found.items() if counts}
