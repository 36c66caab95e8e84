"""A run's workload is read from its report, and the prediction's error is of what was measured."""

import pytest

from loadtest.capacity.validate import Comparison, compared, held, workload_of
from loadtest.capacity.workload import WorkloadError
from tests.unit.loadtest.test_capacity import COSTS

RUN = {
    "phases": [["ramp", 0], ["hold", 10], ["cut", 12], ["settle", 20], ["ended", 30]],
    "series": {
        "users": [[second, 100, 240] for second in range(30)],
        "deliveries": {
            "notification.created": [[second, 200] for second in range(30)],
            "users.count": [[second, 100] for second in range(30)],
            "document.status": [[2, 5]],
        },
    },
    "pages": [
        {"method": "GET", "name": "/", "count": 58},
        {"method": "GET", "name": "/login/", "count": 100},
        {"method": "POST", "name": "/login/", "count": 100},
    ],
    "services": {
        "ws:1": {"cpu_mean": 0.5, "rss_mib": 90.0},
        "ws:2": {"cpu_mean": 0.25, "rss_mib": 110.0},
        "redis": {"cpu_mean": 0.01, "rss_mib": 9.0},
    },
    "latencies": {"notification.created": {"p95": 40.0}},
}


def test_hold_ends_with_the_next_phase_and_not_with_a_stretch():
    assert held(RUN) == (10, 20)


def test_workload_is_what_the_users_did_in_the_hold():
    found = workload_of(RUN)
    assert (found.users, found.sockets) == (100, pytest.approx(240))
    assert found.deliveries_per_second == pytest.approx(300)
    assert [(topic.name, topic.kind, topic.events_per_second) for topic in found.topic] == [
        ("notification.created", "stream", pytest.approx(2.0)),
        ("users.count", "state", pytest.approx(1.0)),
    ]
    assert found.pages_per_second == pytest.approx(2.0)


def test_every_figure_that_the_run_has_is_compared():
    found = {each.name: each for each in compared(RUN, COSTS)}
    assert list(found) == ["ws nodes, CPU", "a ws node, memory", "Redis, CPU", "delivery p95"]
    assert found["ws nodes, CPU"].measured == pytest.approx(0.75)
    assert found["ws nodes, CPU"].predicted == pytest.approx(300 * 10e-6 + 2.0 * 2.4 * 1e-3, rel=0.01)
    assert found["a ws node, memory"].measured == pytest.approx(110.0)


def test_error_is_of_what_was_measured():
    assert Comparison("CPU", 0.6, 0.5, "cores").error == pytest.approx(0.2)
    assert "error +20%" in str(Comparison("CPU", 0.6, 0.5, "cores"))


def test_run_without_a_hold_or_nodes_is_refused():
    with pytest.raises(WorkloadError, match="no hold"):
        compared({**RUN, "phases": [["ramp", 0], ["settle", 10]]}, COSTS)
    with pytest.raises(WorkloadError, match="did not watch"):
        compared({**RUN, "services": {}}, COSTS)
