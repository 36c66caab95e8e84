"""The arithmetic on the figures of a benchmark: the cost of a delivery, and the spread over rounds."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence


def per_delivery_us(cpu: float, deliveries: int) -> float:
    """Return CPU seconds as microseconds for each delivery."""
    if deliveries <= 0:
        return math.nan
    return cpu / deliveries * 1e6


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
