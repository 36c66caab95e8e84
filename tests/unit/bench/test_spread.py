"""The arithmetic of the benchmark: costs per delivery, medians over rounds."""

import math

import pytest

from bench.spread import Spread, per_delivery_us


def test_cost_of_a_delivery_is_in_microseconds():
    assert per_delivery_us(0.5, 100_000) == pytest.approx(5.0)
    assert math.isnan(per_delivery_us(0.5, 0))


def test_spread_is_the_median_with_its_extremes():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([1.0, 2.0]).median == pytest.approx(1.5)


def test_spread_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])
