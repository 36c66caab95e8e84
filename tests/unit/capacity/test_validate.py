"""The workload is read from a run's report, and the prediction's error is relative to the measured value."""

import pytest

from capacity.validate import Comparison, compared, workload_of
from capacity.workload import WorkloadError
from tests.unit.capacity.test_model import COSTS

RUN = {
    "phases": [["ramp", 0], ["hold", 10], ["cut", 12], ["settle", 20], ["ended", 30]],
    "configuration": {"machine": "4 cores, a processor"},
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
}


def test_workload_is_what_the_users_did_in_the_hold():
    found = workload_of(RUN)
    assert (found.users, found.sockets) == (100, pytest.approx(240))
    assert (found.pages_per_second, found.saves_per_second) == (pytest.approx(6.0), pytest.approx(3.0))
    assert found.connects_per_second == pytest.approx(20.0)
    assert (found.present_share, found.query_share) == (pytest.approx(0.55), pytest.approx(0.1))


def test_events_are_what_was_delivered_less_the_first_values_of_handshakes():
    """Counts: 9 of 109 a second to 100 sockets are initial values. Document status: 20 of 24, to 2 sockets each."""
    found = {topic.name: topic for topic in workload_of(RUN).topic}
    assert {name: (topic.kind, topic.events_per_second) for name, topic in found.items()} == {
        "notification.created": ("stream", pytest.approx(2.0)),
        "users.count": ("state", pytest.approx(1.0)),
        "document.status": ("state", pytest.approx(0.2)),
    }
    assert found["document.status"].audience == pytest.approx(2 / 240)


def test_machine_is_shared_with_what_is_no_service():
    found = workload_of(RUN).machine.shared
    assert found is not None
    assert (found.cores, found.others_cores) == (4, pytest.approx(1.5 - 0.76))


def test_every_figure_that_the_run_has_is_compared():
    found = {each.name: each for each in compared(RUN, COSTS)}
    assert list(found) == ["ws nodes, CPU", "a ws node, memory", "Redis, CPU", "delivery p95"]
    assert found["ws nodes, CPU"].measured == pytest.approx(0.75)
    assert found["ws nodes, CPU"].predicted == pytest.approx(300.4 * 10e-6 + 20 * 1e-3, rel=0.01)
    assert found["a ws node, memory"].measured == pytest.approx(110.0)


def test_error_is_of_what_was_measured():
    assert Comparison("CPU", 0.6, 0.5, "cores").error == pytest.approx(0.2)
    assert "error +20%" in str(Comparison("CPU", 0.6, 0.5, "cores"))


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
        compared({**RUN, **change}, COSTS)
