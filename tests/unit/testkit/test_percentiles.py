"""Percentiles by nearest rank, and values with three digits."""

from collections import Counter

import pytest

from testkit.percentiles import percentile, percentiles, rounded


def test_percentiles_are_values_that_were_measured():
    values = Counter({float(n): 1 for n in range(1, 101)})
    assert [percentile(values, p) for p in (0, 50, 95, 99.9, 100)] == [1, 50, 95, 100, 100]
    assert percentiles(values, (50.0, 95.0)) == [50, 95]


def test_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="no value"):
        percentile({}, 50.0)


def test_values_keep_three_digits():
    assert [rounded(value) for value in (1234.5, 0.12345)] == [1230.0, 0.123]
