"""The flatness of a series of samples: the slope of its least-squares line, over the whole time, within a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """The greatest rise from end to end after the warm-up: a share of the mean, and never less than `least`."""

    share: float
    least: float

    def of(self, mean: float) -> float:
        return max(self.share * mean, self.least)


@dataclass(frozen=True)
class Verdict:
    """`rise` is the rise of the line over the measured time; `bound` is the greatest allowed rise."""

    name: str
    mean: float
    highest: float
    rise: float
    bound: float

    @property
    def flat(self) -> bool:
        return self.rise <= self.bound


def judge(name: str, samples: Sequence[tuple[float, float]], bound: Bound) -> Verdict:
    """Judge (seconds, value) pairs, of which there must be at least two. A fall is not a leak, so it counts as flat."""
    values = [value for _, value in samples]
    mean = sum(values) / len(values)
    rise = slope(samples) * (samples[-1][0] - samples[0][0])
    return Verdict(name, mean, max(values), rise, bound.of(mean))


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line, per second."""
    count = len(samples)
    middle = sum(at for at, _ in samples) / count
    mean = sum(value for _, value in samples) / count
    spread = sum((at - middle) ** 2 for at, _ in samples)
    if not spread:
        raise ValueError(f"{count} samples of one moment have no slope")
    return sum((at - middle) * (value - mean) for at, value in samples) / spread
