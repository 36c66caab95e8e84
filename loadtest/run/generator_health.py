"""Detects a generator that was itself the bottleneck, by its CPU and by the lag of its own loop.

Clients without time to read measure the generator and not the servers. Such a run must fail, with the reason.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Short enough to detect a stall as long as an objective's limit, and long enough to cost nothing.
PULSE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Sample:
    """A second of the generator. `cpu` is the share of one core, `lag_ms` the longest oversleep in that second."""

    at: float
    cpu: float
    lag_ms: float


@dataclass(frozen=True, slots=True)
class Health:
    """The generator over a run; `starved` has a sentence for each problem."""

    cpu_mean: float
    cpu_max: float
    lag_p95_ms: float
    lag_max_ms: float
    starved: tuple[str, ...]


def judge(samples: Sequence[Sample], *, cpu_share: float, lag_ms: float) -> Health:
    """Judge a generator: starved if CPU on average, or lag in more than one second of twenty, exceeds its limit.

    A Python process can use one core. At 100 % the process falls behind, and the latencies that it reports are its
    own.
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
    """Measures the process in which it runs. `sleep` must be the loop's own, so that oversleeping is the loop's lag."""

    def __init__(self, sleep: Callable[[float], object], on_sample: Callable[[Sample], None]) -> None:
        self._sleep = sleep
        self._on_sample = on_sample

    def run(self) -> None:
        """Measure until the greenlet is killed."""
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
