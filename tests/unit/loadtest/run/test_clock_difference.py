"""The servers' clock is estimated from saves and arrivals alone, and the stated error must cover the real one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.run.clock_difference import DRIFT, SAME, Clocks

AHEAD = 3.25
# Seconds from the request to the stamp, and from the stamp to the arrival.
ways = st.tuples(st.floats(0.002, 0.5), st.floats(0.001, 0.5))


def saved(clocks, sent, there, back, ahead=AHEAD):
    stamped, arrived = sent + there + ahead, sent + there + back
    clocks.saved(sent, stamped, arrived)
    clocks.arrived(stamped, arrived)


@given(st.lists(ways, min_size=1, max_size=50))
def test_truth_lies_within_the_error(trips):
    clocks = Clocks(one=False)
    for n, (there, back) in enumerate(trips):
        saved(clocks, 100.0 + n, there, back)
    difference = clocks.difference
    assert abs(difference.seconds - AHEAD) <= difference.error + 1e-9
    # Half of the fastest trips there and back is the least possible error. Only the clocks' drift may add to it.
    least = (min(there for there, _ in trips) + min(back for _, back in trips)) / 2
    assert difference.error == pytest.approx(least, abs=len(trips) * DRIFT)
    assert not difference.contradicted


def test_clock_that_drifts_is_followed():
    clocks = Clocks(one=False)
    for n in range(2000):
        saved(clocks, 100.0 + n, 0.01, 0.01, ahead=AHEAD + n * DRIFT / 2)
    assert not clocks.difference.contradicted
    assert clocks.difference.seconds == pytest.approx(AHEAD + 2000 * DRIFT / 2, abs=clocks.difference.error)


def test_two_servers_with_two_clocks_are_found_out():
    clocks = Clocks(one=False)
    saved(clocks, 100.0, 0.01, 0.01, ahead=0.0)
    saved(clocks, 101.0, 0.01, 0.01, ahead=0.5)
    assert clocks.difference.contradicted == pytest.approx(0.48, abs=0.001)
    assert "the servers' differ by 479.9 ms" in str(clocks.difference)


def test_nothing_is_known_before_a_save_of_its_own_came_back():
    clocks = Clocks(one=False)
    clocks.arrived(103.0, 100.0)
    assert not clocks.is_known
    assert math.isinf(clocks.difference.error)
    assert str(clocks.difference) == "unknown: no save of its own came back"


def test_one_clock_needs_no_estimate():
    clocks = Clocks(one=True)
    saved(clocks, 100.0, 0.01, 0.01)
    assert (clocks.is_known, clocks.ahead_seconds, clocks.difference) == (True, 0.0, SAME)
