"""The printed lines can be copied into a file of costs."""

import tomllib

from capacity.calibrate import printed
from capacity.stack_under_test import Sizes


def test_costs_are_printed_as_the_file_has_them():
    text = printed([{"node": {"rest_cores": 0.0146}, "web": {"page_ms": 15.71}}], Sizes())
    assert tomllib.loads(text) == {"node": {"rest_cores": 0.0146}, "web": {"page_ms": 15.7}}


def test_rounds_are_their_median_and_their_spread():
    """Half of the difference between 10 and 14 is a sixth of the median, 12."""
    rounds = [
        {"delivery_us": {"302": us}, "web": {"page_ms": ms}} for us, ms in ((7.0, 14.0), (7.0, 10.0), (7.0, 12.0))
    ]
    found = tomllib.loads(printed(rounds, Sizes()))
    assert found["web"] == {"page_ms": 12.0}
    assert found["spread"] == {"delivery_us": 0.0, "page_ms": 0.17}


def test_cost_below_zero_has_no_spread_that_could_be_trusted():
    rounds = [{"web": {"page_ms": ms}} for ms in (-1.0, -2.0, 1.0)]
    assert tomllib.loads(printed(rounds, Sizes()))["spread"] == {"page_ms": 1.0}
