"""The line through what was measured with so many nodes."""

import pytest

from loadtest.capacity.hints import line


def test_best_straight_line_is_found():
    assert line([(1, 12.0), (2, 14.0), (4, 18.0)]) == (pytest.approx(2.0), pytest.approx(10.0))
