"""The arithmetic on the figures of a benchmark: the cost of a delivery, and the spread over rounds."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Literal


def per_delivery_us(cpu: float, deliveries: int) -> float:
    """Return CPU seconds as microseconds for each delivery."""
    if deliveries <= 0:
        return math.nan
    return cpu / deliveries * 1e6


# A figure that is measured again differs by this much without any cause, however close its rounds were this time.
NOISE = 0.05
# Of a measured value, compared with another one or with a limit.
Verdict = Literal["below", "equal", "above"]


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median of several rounds, with the least and the greatest value."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of values. Raises `ValueError` if there are none."""
        if not values:
            raise ValueError("no round to take a median of")
        return cls(statistics.median(values), min(values), max(values), len(values))

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value that another round could have."""
        around = abs(self.median) * NOISE
        return min(self.least, self.median - around), max(self.most, self.median + around)


def compare(ours: Spread, other: Spread | float, *, times: float = 1.0) -> Verdict:
    """Compare with another measured value, or with a limit, each multiplied by `times`. Within the spread, it is equal.

    A limit has no spread of its own.
    """
    low, high = ours.bounds
    other_low, other_high = other.bounds if isinstance(other, Spread) else (other, other)
    if high < other_low * times:
        return "below"
    return "above" if low > other_high * times else "equal"
