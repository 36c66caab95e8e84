"""Rates: the recent activity of this process, computed from its own metrics."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tidewire import metrics

QUANTILE = 0.99


@dataclass(frozen=True)
class Rates:
    """Values per second over the meter's window; a quantile without observations is None."""

    connects: float
    closes: float
    deliveries: float
    delivery_p99_seconds: float | None
    lag_p99_seconds: float | None


@dataclass(frozen=True)
class _Reading:
    at: float
    connects: float
    closes: float
    deliveries: float
    delivery: Mapping[float, float]
    lag: Mapping[float, float]


class Meter:
    """Compares the metrics with the oldest of the last `readings`, so that one busy moment does not show as a spike."""

    def __init__(self, *, readings: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._readings: deque[_Reading] = deque([self._take_reading()], maxlen=readings + 1)

    def read(self) -> Rates:
        """Return the recent rates. Must be called at a regular interval."""
        self._readings.append(self._take_reading())
        first, last = self._readings[0], self._readings[-1]
        seconds = max(last.at - first.at, 1e-9)
        return Rates(
            connects=(last.connects - first.connects) / seconds,
            closes=(last.closes - first.closes) / seconds,
            deliveries=(last.deliveries - first.deliveries) / seconds,
            delivery_p99_seconds=_quantile(first.delivery, last.delivery),
            lag_p99_seconds=_quantile(first.lag, last.lag),
        )

    def _take_reading(self) -> _Reading:
        return _Reading(
            at=self._clock(),
            connects=_total(metrics.CONNECTS),
            closes=_total(metrics.CLOSES),
            deliveries=_total(metrics.DELIVERED),
            delivery=_buckets(metrics.DELIVERY_SECONDS),
            lag=_buckets(metrics.LOOP_LAG_SECONDS),
        )


def _total(counter: Any) -> float:
    return sum(
        float(sample.value) for family in counter.collect() for sample in family.samples if _is(sample, "_total")
    )


def _buckets(histogram: Any) -> dict[float, float]:
    """Return upper bound -> observations up to it, over all labels."""
    counts: dict[float, float] = {}
    for family in histogram.collect():
        for sample in family.samples:
            if _is(sample, "_bucket"):
                bound = float(sample.labels["le"])
                counts[bound] = counts.get(bound, 0.0) + sample.value
    return counts


def _is(sample: Any, suffix: str) -> bool:
    return bool(sample.name.endswith(suffix))


def _quantile(before: Mapping[float, float], now: Mapping[float, float]) -> float | None:
    """Like Prometheus's histogram_quantile: linear within a bucket, and the last bound for values above it."""
    counts = [(bound, now[bound] - before.get(bound, 0.0)) for bound in sorted(now)]
    if not counts or counts[-1][1] <= 0:
        return None
    rank = QUANTILE * counts[-1][1]
    for (below, had), (bound, has) in pairwise([(0.0, 0.0), *counts]):
        if has >= rank:
            return below if bound == float("inf") else below + (bound - below) * (rank - had) / (has - had)
    return None
