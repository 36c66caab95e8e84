"""What a run measured: latencies by name and what happened in each second. Owns the numbers, reads no clock."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
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


class Meter:
    """Values of the second that runs, for a figure of which there are thousands a second: rounding waits until then.

    `tell` is given a second with how often each value came in it, in milliseconds.
    """

    # A hundredth of a millisecond: three digits of whatever is longer than one.
    STEPS_PER_SECOND = 100_000

    def __init__(self, tell: Callable[[int, Counter[float]], None]) -> None:
        self._tell = tell
        self._second = 0
        self._steps: defaultdict[int, int] = defaultdict(int)

    def add(self, second: int, seconds: float) -> None:
        if second != self._second:
            self.flush()
            self._second = second
        self._steps[int(seconds * self.STEPS_PER_SECOND)] += 1

    def flush(self) -> None:
        if not self._steps:
            return
        steps, self._steps = self._steps, defaultdict(int)
        counts: Counter[float] = Counter()
        for step, times in steps.items():
            counts[rounded(step * 1000 / self.STEPS_PER_SECOND)] += times
        self._tell(self._second, counts)


def rounded(value_ms: float) -> float:
    """To three digits, so that a run of any length, by any number of processes, fits into memory."""
    return float(f"{value_ms:.3g}")


class Latencies:
    """How often each value, in milliseconds to three digits, came in each second of the run.

    Bounded by the digits and not by the deliveries, and so that what several processes saw adds up.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[int, Counter[float]] = defaultdict(Counter)

    def add(self, second: int, value_ms: float, times: int = 1) -> None:
        self.seconds[max(0, second)][rounded(value_ms)] += times

    def add_all(self, second: int, counts: Mapping[float, int]) -> None:
        """The same for many that are rounded already."""
        self.seconds[max(0, second)].update(counts)

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
    # Cores of the generator's machine that anybody used.
    machine: float = 0.0
    # Open sockets by path.
    paths: Mapping[str, int] = field(default_factory=dict)


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
