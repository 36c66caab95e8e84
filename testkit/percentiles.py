"""Percentiles of values with their counts, and the digits that are kept of a value. Reads no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def percentile(counts: Mapping[float, int], percent: float) -> float:
    """Return a percentile by nearest rank. Raises `ValueError` if there are no values."""
    return percentiles(counts, (percent,))[0]


def percentiles(counts: Mapping[float, int], wanted: Sequence[float]) -> list[float]:
    """Return several percentiles; `wanted` must be in rising order."""
    total = sum(counts.values())
    if not total:
        raise ValueError("no value to take a percentile of")
    results: list[float] = []
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        while len(results) < len(wanted) and passed >= max(1, math.ceil(total * wanted[len(results)] / 100)):
            results.append(value)
    return results


def rounded(value_ms: float) -> float:
    """Return the value with three digits, so that a run of any length and any number of processes fits into memory."""
    return float(f"{value_ms:.3g}")
