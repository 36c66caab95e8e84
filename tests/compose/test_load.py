"""The load test from a master and three workers in containers, one of which is killed half-way."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from tests.compose.test_up import wait_for

pytestmark = pytest.mark.compose

# Every tenth user writes: two per worker, of which one may lose every save to another user.
USERS, WORKERS, HOLD_SECONDS = 60, 3, 40
# Two logins a second, and additional time for a busy machine.
RAMP_SECONDS = 120.0
END_SECONDS = 120.0
SERVICES = ("loadtest-master", "loadtest-worker", "loadtest-users")
CLOCK = re.compile(r"of (worker \d): the servers' is ([+-][\d.]+) ms from its own, give or take ([\d.]+) ms")
UNKNOWN = re.compile(r"of (worker \d): unknown")


@pytest.fixture
def loaded(compose):
    """The project with the load test's services started. They are removed afterwards."""
    fields = {"LOADTEST_USERS": USERS, "LOADTEST_WORKERS": WORKERS, "LOADTEST_SECONDS": HOLD_SECONDS}
    environment = {**compose.environment, **{name: str(value) for name, value in fields.items()}}
    project = replace(compose, environment={**environment, "COMPOSE_PROFILES": "loadtest"})
    project("build", "loadtest-users", timeout_seconds=900)
    try:
        project("up", "--detach", "--no-recreate", "--scale", f"loadtest-worker={WORKERS}", *SERVICES[:2])
        yield project
    finally:
        # The logs are shown if the test fails.
        sys.stdout.write(project("logs", "--no-color", "--tail", "40", *SERVICES, check=False))
        project("rm", "--force", "--stop", *SERVICES, check=False)


def log(project):
    return project("logs", "--no-log-prefix", "loadtest-master")


def test_worker_that_is_killed_half_way_does_not_spoil_the_report(loaded, tmp_path):
    """Its users' events count until its end, the others' to the end of the run; each worker's clock is estimated."""
    wait_for(lambda: log(loaded), lambda output: "phase hold" in output, RAMP_SECONDS)
    time.sleep(HOLD_SECONDS / 2)
    subprocess.run(["docker", "kill", loaded.running("loadtest-worker")[1]["Id"]], check=True, capture_output=True)
    code = loaded("wait", "loadtest-master", check=False, timeout_seconds=HOLD_SECONDS + END_SECONDS).split()[-1]
    loaded("cp", "loadtest-master:/results/report.json", str(tmp_path / "report.json"))
    report = json.loads((tmp_path / "report.json").read_text())
    sys.stdout.write(f"{report['totals']} {report['unaccounted']} {report['configuration']['clock']}\n")

    [(lost, users)] = report["unaccounted"].items()
    matched = re.search(r"counted up to (\d+) s: ([\d,]+) deliveries due, ([\d,]+) received", lost)
    assert matched[2] == matched[3] != "0"
    assert len(users) == USERS / WORKERS
    assert not any(report["counts"].values()), report["faults"]
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    assert report["totals"]["users"] == USERS - USERS / WORKERS
    broken = {check["name"] for check in report["checks"] if check["passed"] is False}
    assert "unaccounted_users" in broken
    assert code == "1"

    # All containers have the same clock, which the workers do not know. If the killed worker ended before a save of its
    # own came back, the report must list its clock as unknown.
    clock = report["configuration"]["clock"]
    clocks, unknown = CLOCK.findall(clock), UNKNOWN.findall(clock)
    assert sorted([*unknown, *(worker for worker, _, _ in clocks)]) == ["worker 1", "worker 2", "worker 3"]
    assert all(lost.startswith(worker) for worker in unknown)
    assert all(abs(float(difference)) <= float(error) for _, difference, error in clocks), clocks
