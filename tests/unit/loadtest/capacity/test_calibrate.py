"""Arithmetic of what was used beyond rest, and lines that a file of costs can be made of."""

import tomllib

import pytest

from loadtest.capacity.calibrate import Sizes, Used, printed


def test_what_was_used_anyway_is_no_cost():
    used = Used(10.0, {"ws": 1.0, "redis": 0.2})
    assert used.cores == {"ws": pytest.approx(0.1), "redis": pytest.approx(0.02)}
    beyond = used.beyond({"ws": 0.04, "web": 9.0}, {"ws": 0.01, "redis": 0.01})
    assert beyond == {"ws": pytest.approx(0.5), "redis": pytest.approx(0.1)}


def test_costs_are_printed_as_the_file_has_them():
    text = printed({"node": {"rest_core": 0.0146}, "web": {"page_ms": 15.71}}, Sizes())
    assert tomllib.loads(text) == {"node": {"rest_core": 0.0146}, "web": {"page_ms": 15.7}}
