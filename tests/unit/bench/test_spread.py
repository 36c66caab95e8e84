"""The arithmetic of the benchmark: costs per delivery, medians over rounds."""

import math

import pytest

from bench.spread import Spread, compare, per_delivery_us


def test_cost_of_a_delivery_is_in_microseconds():
    assert per_delivery_us(0.5, 100_000) == pytest.approx(5.0)
    assert math.isnan(per_delivery_us(0.5, 0))


def test_spread_is_the_median_with_its_extremes():
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([1.0, 2.0]).median == pytest.approx(1.5)


def test_spread_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no round"):
        Spread.of([])


@pytest.mark.parametrize(
    ("ours", "other", "verdict"),
    [
        # Overlapping rounds, and rounds that are close to each other.
        ([11.0, 11.8, 12.7], [12.4, 13.3, 13.5], "equal"),
        ([8.0, 8.01, 8.02], [8.09, 8.1, 8.11], "equal"),
        ([8.01], [8.10], "equal"),
        ([8.0, 8.1, 8.2], [10.0, 10.1, 10.2], "below"),
        ([10.0, 10.1, 10.2], [8.0, 8.1, 8.2], "above"),
        # A single slow or fast round leaves it open.
        ([8.0, 8.1, 12.0], [10.0, 10.1, 10.2], "equal"),
        ([6.0, 10.1, 10.2], [8.0, 8.1, 8.2], "equal"),
    ],
)
def test_value_is_below_another_only_beyond_the_spread(ours, other, verdict):
    assert compare(Spread.of(ours), Spread.of(other)) == verdict


@pytest.mark.parametrize(("ours", "verdict"), [(17.0, "below"), (17.5, "equal"), (18.5, "equal"), (19.1, "above")])
def test_limit_has_no_spread_of_its_own(ours, verdict):
    assert compare(Spread.of([ours]), 18.0) == verdict


def test_other_value_can_be_multiplied():
    assert compare(Spread.of([1.0]), Spread.of([30.0]), times=1 / 20) == "below"
    assert compare(Spread.of([1.0]), Spread.of([20.0]), times=1 / 20) == "equal"
    assert compare(Spread.of([1.0]), Spread.of([10.0]), times=1 / 20) == "above"
