"""Figures of the hold exclude the ramp before it and the seconds after it."""

from types import SimpleNamespace

import pytest

from loadtest.report.hold_stats import HoldStats, hold_span
from loadtest.run.figures import Moment

PHASES = [("ramp", 0), ("hold", 10), ("cut", 12), ("settle", 20), ("ended", 30)]
STARTED = 1000.4


def entry(method, name, by_second):
    return SimpleNamespace(method=method, name=name, num_reqs_per_sec={1000 + s: n for s, n in by_second.items()})


def moment(second, **paths):
    return Moment(second, "hold", 1, 1, 0.0, 0.0, {}, paths=paths)


def hold_stats(*entries, moments=()):
    return HoldStats.of(entries, moments, PHASES, started=STARTED)


def test_hold_ends_with_the_next_phase_and_not_with_a_stretch():
    assert hold_span(PHASES) == (10, 20)
    assert hold_span([("ramp", 0), ("settle", 10)]) == (0, 0)


def test_pages_and_handshakes_count_from_the_holds_first_second_to_before_its_end():
    stats = hold_stats(
        entry("GET", "/", {9: 5, 10: 1, 19: 2, 20: 7}),
        entry("POST", "/", {15: 3}),
        entry("WS", "handshake /ws/users/", {9: 1, 11: 4}),
        entry("WS", "heartbeat", {11: 9}),
        entry("GET", "/login/", {3: 9}),
    )
    assert (stats.seconds, stats.pages, stats.handshakes) == (10, {"GET /": 3, "POST /": 3}, {"/ws/users/": 4})


def test_sockets_are_those_that_were_open_on_average():
    moments = [moment(9, a=100), moment(10, a=2), moment(11, a=4, b=1), moment(20, a=100)]
    assert hold_stats(moments=moments).sockets == {"a": pytest.approx(3.0), "b": pytest.approx(0.5)}


def test_run_without_a_hold_has_nothing_in_it():
    assert HoldStats.of([entry("GET", "/", {5: 1})], [moment(5, a=1)], [("ramp", 0)], started=STARTED) == HoldStats(
        0, {}, {}, {}
    )
