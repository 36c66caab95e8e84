"""What a run measured: latencies by name and what happened in each second. Owns the numbers, reads no clock."""

from __future__ import annotations

import math
from array import array
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


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that so many percent do not exceed (nearest rank). Raises `ValueError` on none."""
    if not ordered:
        raise ValueError("no value to take a percentile of")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass
class Latencies:
    """Every single one, in milliseconds, with the second of the run that it ended in: 12 bytes each."""

    seconds: array[int] = field(default_factory=lambda: array("I"))
    values_ms: array[float] = field(default_factory=lambda: array("d"))

    def add(self, second: int, value_ms: float) -> None:
        self.seconds.append(max(0, second))
        self.values_ms.append(value_ms)

    def ordered(self, *, since: int = 0) -> list[float]:
        return sorted(value for second, value in zip(self.seconds, self.values_ms, strict=True) if second >= since)

    def by_second(self) -> dict[int, list[float]]:
        found: defaultdict[int, list[float]] = defaultdict(list)
        for second, value in zip(self.seconds, self.values_ms, strict=True):
            found[second].append(value)
        return {second: sorted(values) for second, values in found.items()}


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
    def of(cls, ordered: Sequence[float]) -> Summary:
        p50, p95, p99, p99_9 = (percentile(ordered, percent) for percent in PERCENTILES)
        return cls(len(ordered), sum(ordered) / len(ordered), p50, p95, p99, p99_9, ordered[-1])


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


class Figures:
    """All of a run's numbers; `second` everywhere is since its start."""

    def __init__(self) -> None:
        self.latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        # Messages that reached clients, by event type and second.
        self.deliveries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.moments: list[Moment] = []

    def summaries(self, *, since: int = 0) -> dict[str, Summary]:
        """By name; without those that have nothing since then."""
        ordered = {name: found.ordered(since=since) for name, found in sorted(self.latencies.items())}
        return {name: Summary.of(values) for name, values in ordered.items() if values}
