"""Whether the generator itself was the bottleneck: its CPU and how late its own loop woke up.

A load test whose clients had no time to read measures itself. Such a run must say so and fail.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Often enough to see a stall of the length that an objective speaks of, seldom enough to cost nothing.
PULSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """One second of the generator. `cpu` is the share of one core, `lag_ms` the worst oversleep in that second."""

    at: float
    cpu: float
    lag_ms: float


@dataclass(frozen=True, slots=True)
class Health:
    """The generator over a run; `starved` says what was wrong, one sentence each."""

    cpu_mean: float
    cpu_max: float
    lag_p95_ms: float
    lag_max_ms: float
    starved: tuple[str, ...]


def judge(samples: Sequence[Sample], *, cpu_share: float, lag_ms: float) -> Health:
    """Over the limit for CPU on average, or for lag in more than one second of twenty, is starved.

    One process of Python has one core: at 100 % it is behind, and every latency it reports is its own.
    """
    if not samples:
        return Health(0.0, 0.0, 0.0, 0.0, ("the generator was not measured",))
    cpus = [sample.cpu for sample in samples]
    lags = sorted(sample.lag_ms for sample in samples)
    mean = sum(cpus) / len(cpus)
    p95 = lags[math.ceil(len(lags) * 0.95) - 1]
    starved = []
    if mean > cpu_share:
        starved.append(f"the generator used {mean:.0%} of its core on average, {cpu_share:.0%} at most")
    if p95 > lag_ms:
        starved.append(f"the generator's loop woke up to {p95:.0f} ms late (p95 of seconds), {lag_ms:.0f} ms at most")
    return Health(mean, max(cpus), p95, lags[-1], tuple(starved))


class Pulse:
    """Measures the process it runs in. `sleep` is the loop's own, so that what it oversleeps is the loop's lag."""

    def __init__(self, sleep: Callable[[float], object], on_sample: Callable[[Sample], None]) -> None:
        self._sleep = sleep
        self._on_sample = on_sample

    def run(self) -> None:
        """Until the greenlet is killed."""
        while True:
            started, cpu, worst = time.monotonic(), _cpu_seconds(), 0.0
            while (now := time.monotonic()) - started < 1.0:
                self._sleep(PULSE_SECONDS)
                worst = max(worst, time.monotonic() - now - PULSE_SECONDS)
            wall = time.monotonic() - started
            self._on_sample(Sample(time.time(), (_cpu_seconds() - cpu) / wall, worst * 1000))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
