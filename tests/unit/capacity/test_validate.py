"""The workload is read from a run's report, and the prediction's error is relative to the measured value."""

import json

import pytest

from capacity.costs import Errors
from capacity.inputs import WorkloadError
from capacity.ranges import FIGURES
from capacity.validate import Comparison, compared, left_out, main
from tests.unit.capacity.test_model import COSTS

ERRORS = Errors(**{key: [0.9, 1.0, 1.2] for key in FIGURES})
CONFIGURATION = {"machine": "4 cores, a processor", "date": "2026-11-25 10:00 UTC"}

RUN = {
    "phases": [["ramp", 0], ["hold", 10], ["cut", 12], ["settle", 20], ["ended", 30]],
    "configuration": CONFIGURATION,
    "hold_stats": {
        "seconds": 10,
        "pages": {"GET /": 60, "POST /notifications/read/": 30, "POST /login/": 5},
        "handshakes": {"/ws/users/": 90, "/ws/notifications/": 90, "/ws/document/[slug]/read/": 20},
        "sockets": {"/ws/users/": 100.0, "/ws/notifications/": 100.0, "/ws/document/[slug]/read/": 40.0},
    },
    "series": {
        "users": [[second, 100, 240] for second in range(30)],
        "deliveries": {
            "notification.created": [[second, 200] for second in range(30)],
            "users.count": [[second, 109] for second in range(30)],
            "document.status": [[2, 5], [15, 24]],
        },
        "machine": [[second, 1.5] for second in range(30)],
    },
    "services": {
        "ws:1": {"cpu_mean": 0.5, "rss_mib": 90.0},
        "ws:2": {"cpu_mean": 0.25, "rss_mib": 110.0},
        "redis": {"cpu_mean": 0.01, "rss_mib": 9.0},
    },
    "latencies": {"delivery": {"p95": 40.0}},
    "passed": True,
    "versions": {},
}


def test_every_figure_that_the_run_has_is_compared():
    found = {each.name: each for each in compared(RUN, COSTS, ERRORS)}
    assert list(found) == ["ws_cores", "ws_memory_mib", "redis_cores", "delivery_p95_ms"]
    assert found["ws_cores"].measured == pytest.approx(0.75)
    assert found["ws_cores"].predicted == pytest.approx(300.4 * 10e-6 + 20 * 1e-3, rel=0.01)
    assert found["ws_memory_mib"].measured == pytest.approx(110.0)


def test_measured_value_is_inside_or_outside_of_the_range():
    memory = {each.name: each for each in compared(RUN, COSTS, ERRORS)}["ws_memory_mib"]
    assert (memory.low, memory.high) == (pytest.approx(memory.predicted * 0.9), pytest.approx(memory.predicted * 1.2))
    assert memory.is_inside
    assert "inside" in str(memory)
    cpu = {each.name: each for each in compared(RUN, COSTS, ERRORS)}["ws_cores"]
    assert not cpu.is_inside
    assert "OUTSIDE" in str(cpu)


def test_command_counts_what_was_inside_and_prints_the_lines_of_the_file(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps({**RUN, "title": "t", "totals": {}, "counts": {}, "configuration": CONFIGURATION}))
    text = main([path], COSTS, ERRORS)
    assert "inside the ranges: 1 of 4" in text
    assert f"ws_memory_mib = [{110 / (100 + 120 * 8 / 1024):.4f}]" in text


def test_run_left_out_is_compared_with_the_others_alone():
    """Of 0.9, 1.0, 1.2 only the middle one is between the others; 1.0, no error at all, is always allowed."""
    assert left_out(ERRORS) == (6, 18)


def test_error_is_of_what_was_measured():
    assert Comparison("ws_cores", 0.6, 0.5, 0.4, 0.7).error == pytest.approx(0.2)
    assert "error +20%" in str(Comparison("ws_cores", 0.6, 0.5, 0.4, 0.7))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hold_stats": None}, "no hold"),
        ({"hold_stats": {"seconds": 0}}, "no hold"),
        ({"series": {**RUN["series"], "users": []}}, "nothing was noted"),
        ({"services": {}}, "did not watch"),
    ],
)
def test_run_that_cannot_be_compared_is_refused(change, says):
    with pytest.raises(WorkloadError, match=says):
        compared({**RUN, **change}, COSTS, ERRORS)
