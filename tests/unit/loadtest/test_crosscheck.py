"""Two programs' figures of one run, compared over the same seconds."""

import json

import pytest

from loadtest.crosscheck import ERRORS, SAID, CannotCrossCheck, compared


@pytest.fixture
def directory(tmp_path):
    summary = {"count": 4000, "p50": 10.0, "p95": 20.0, "p99": 30.0, "p99_9": 40.0}
    report = {
        "configuration": {"started_at": 1000.0},
        "phases": [["ramp", 0], ["hold", 5], ["storm", 7], ["settle", 10], ["ended", 20]],
        "latencies": {"notification.created": summary},
        "totals": {"sockets_at_once": 1234},
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    return tmp_path


def test_only_the_hold_is_compared(directory):
    deliveries = [[1004.9, 900.0], *([1005.0 + n / 100, 11.0] for n in range(99)), [1009.9, 31.0], [1010.0, 900.0]]
    seen = {"sockets": 20, "closed": 0, "gaps": 1, "deliveries": deliveries}
    (directory / SAID).write_text(json.dumps(seen))
    table = compared(directory).splitlines()
    assert table[2] == "| load test | 1,234 | 4,000 | 10 | 20 | 30 | 40 |"
    assert table[3] == "| Node, npm `ws` | 20 | 100 | 11 | 11 | 11 | 31 |"
    assert table[-1] == "Node saw 1 gaps, and 0 of its sockets closed."


def test_silent_node_says_why(directory):
    (directory / SAID).write_text("")
    (directory / ERRORS).write_text("Error: Cannot find module 'ws'")
    with pytest.raises(CannotCrossCheck, match="Cannot find module"):
        compared(directory)
