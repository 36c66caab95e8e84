"""The measurements of a run: latencies by name, and the state of each second. Reads no clock."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from testkit.percentiles import percentile, percentiles, rounded

PERCENTILES = (50.0, 95.0, 99.0, 99.9)

# Names that are true of any product.
DELIVERY = "delivery"
INTENDED = "delivery, from the intended action"
# Of the dashboard's journeys.
DOCUMENTS = "documents.status"
COUNT = "users.count, consistent"
HANDSHAKE = "handshake"
RESUME = "resume"
# Events that were published before the socket subscribed: after its page was rendered, or while a phone had no
# network. Their latency counts from the subscription.
REPLAY = "delivery, made up for"
HEARTBEAT = "heartbeat"
# From the accepted handshake to the first message of the subscription. Of a socket that was closed before: until then.
SUBSCRIBE = "subscribe"
# Pages other than the login, as answered; and a login with both of its pages.
PAGE = "page"
LOGIN = "login"


# The percentiles that have an objective, by its name. Those AT_WORK count only while all users work.
JUDGED = {
    "delivery_p95_ms": (DELIVERY, 95.0),
    "delivery_p99_ms": (DELIVERY, 99.0),
    "page_p95_ms": (PAGE, 95.0),
    "page_p99_ms": (PAGE, 99.0),
    "login_p95_ms": (LOGIN, 95.0),
    "handshake_p95_ms": (HANDSHAKE, 95.0),
    "subscribe_p95_ms": (SUBSCRIBE, 95.0),
    "resume_p95_ms": (RESUME, 95.0),
    "count_p95_ms": (COUNT, 95.0),
}
AT_WORK = (DELIVERY, PAGE)


def judged(latencies: Mapping[str, Mapping[float, int]]) -> dict[str, float]:
    """Return the percentiles that have an objective, of the figures that have values."""
    return {
        name: percentile(latencies[figure], percent)
        for name, (figure, percent) in JUDGED.items()
        if latencies.get(figure)
    }


class Meter:
    """Values of the current second, for a figure with thousands of values a second: they are rounded once a second.

    `on_second` receives a second and the number of times that each value, in milliseconds, occurred in it.
    """

    # A hundredth of a millisecond, which keeps three digits of each value above one millisecond.
    STEPS_PER_SECOND = 100_000

    def __init__(self, on_second: Callable[[int, Counter[float]], None]) -> None:
        self._on_second = on_second
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
        self._on_second(self._second, counts)


class Latencies:
    """The number of times that each value, in milliseconds with three digits, occurred in each second of the run.

    The size depends on the digits, not on the number of deliveries, and the values of several processes can be added.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[int, Counter[float]] = defaultdict(Counter)

    def add(self, second: int, value_ms: float, times: int = 1) -> None:
        self.seconds[max(0, second)][rounded(value_ms)] += times

    def add_all(self, second: int, counts: Mapping[float, int]) -> None:
        """Add many values that are already rounded."""
        self.seconds[max(0, second)].update(counts)

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.seconds.values())

    def counts(self, *, since: int = 0, until: float = math.inf) -> Counter[float]:
        """Return the count of each value from second `since` to before `until`."""
        counts: Counter[float] = Counter()
        for second, counter in self.seconds.items():
            if since <= second < until:
                counts.update(counter)
        return counts


@dataclass(frozen=True, slots=True)
class Summary:
    """The distribution of a figure over the run, in milliseconds."""

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
    # Memory of each service, in bytes.
    memory: Mapping[str, int] = field(default_factory=dict)
    # Cores of the generator's machine that all processes together used.
    machine: float = 0.0
    # Open sockets by path.
    paths: Mapping[str, int] = field(default_factory=dict)
    # Cores of this machine that processes other than the generator and the watched services used.
    foreign: float | None = None


# A kind of failure is a line of a report. Further kinds are counted together.
MOST_KINDS = 50
OTHER_KINDS = "other failures"


class Failures:
    """Failures by kind and second, with the first one of each kind in words."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.first: dict[str, str] = {}

    def note(self, kind: str, second: int, words: str = "") -> None:
        if kind not in self.seconds and len(self.seconds) >= MOST_KINDS:
            kind = OTHER_KINDS
        self.seconds[kind][second] += 1
        said = "" if words in kind else f"{words} at"
        self.first.setdefault(kind, f"{said or 'at'} {second} s")

    def count(self, *, containing: str = "", since: int = 0, until: float = math.inf) -> int:
        """Return the number of failures from second `since` to before `until`, of the kinds that contain a text."""
        return sum(
            times
            for kind, by_second in self.seconds.items()
            if containing in kind
            for second, times in by_second.items()
            if since <= second < until
        )

    def lines(self) -> list[str]:
        """Return a line for each kind, the most frequent first."""
        counts = sorted(((by_second.total(), kind) for kind, by_second in self.seconds.items()), reverse=True)
        return [f"{count:,} x {kind} (first: {self.first.get(kind, 'unknown')})" for count, kind in counts]


class Figures:
    """All measurements of a run. Seconds are counted from its start."""

    def __init__(self) -> None:
        # Requests that the product refused or did not answer, and exceptions of the load test's own code.
        self.failures = Failures()
        self.own_faults = Failures()
        self.latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        # Messages that clients received, by event type and second.
        self.deliveries: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.moments: list[Moment] = []

    def summaries(self, *, since: int = 0, until: float = math.inf) -> dict[str, Summary]:
        """Return the summaries of the figures that have values in that time, by name."""
        counts_by_name = {name: each.counts(since=since, until=until) for name, each in sorted(self.latencies.items())}
        return {name: Summary.of(counts) for name, counts in counts_by_name.items() if counts}
