"""The straight line through costs that were measured with several numbers of nodes."""

import pytest

from capacity.hint_costs import line


def test_best_straight_line_is_found():
    assert line([(1, 12.0), (2, 14.0), (4, 18.0)]) == (pytest.approx(2.0), pytest.approx(10.0))
