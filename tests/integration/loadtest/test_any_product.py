"""The load test of a product that is not the dashboard: the chat of `examples/` on stock Daphne."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import ROOT
from tests.integration.loadtest.chat_server import JOURNEY, chat, environment, processes
from tests.integration.loadtest.test_whole_run import patient_objectives, wrong

RUN_SECONDS = 200.0
MOST_LINES = 40


@pytest.fixture(scope="module")
def address():
    with chat() as url:
        yield url


def run_locust(directory, address, *more):
    """Run the chat's journey as any user of Locust would, and return the exit code and the report."""
    command = [sys.executable, "-m", "locust", "-f", str(JOURNEY), "--host", address, "--headless", "--only-summary"]
    command += ["--users", "6", "--spawn-rate", "10", "--result", str(directory), "--pace", "0.3"]
    command += ["--objectives", str(patient_objectives(directory)), *more]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    report = directory / "report.json"
    assert report.exists(), done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode, json.loads(report.read_text())


def test_journey_of_the_chat_is_short():
    lines = [line for line in JOURNEY.read_text().splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES


def test_target_is_tested_with_its_own_journey(address, tmp_path):
    """`python -m loadtest --target` needs no stack, no dashboard and no account."""
    command = [sys.executable, "-m", "loadtest", "--target", address, "--locustfile", str(JOURNEY)]
    command += ["--users", "6", "--seconds", "6", "--pace", "0.3", "--objectives", str(patient_objectives(tmp_path))]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"^report: (\S+)/report.html$", done.stdout, re.MULTILINE)
    report = json.loads((Path(found[1]) / "report.json").read_text())
    assert report["totals"]["users"] == 6
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    assert report["configuration"]["journeys"] == {"Chatter": 1}
    assert {"delivery", "handshake"} <= set(report["latencies"])
    # Nothing in the report may be about a product that was not tested.
    pages = [(Path(found[1]) / f"report.{kind}").read_text() for kind in ("html", "md")]
    shown = [*report["series"]["deliveries"], *report["series"]["latency_ms"], *pages, done.stdout]
    assert not [
        re.findall(".*ocument.*|.*otification.*", text) for text in shown if re.search("ocument|otification", text)
    ]


def test_target_that_does_not_listen_is_named():
    command = [sys.executable, "-m", "loadtest", "--target", "http://127.0.0.1:1", "--locustfile", str(JOURNEY)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    assert done.returncode == 2
    assert re.fullmatch(
        r"cannot run the load test: nothing listens at --target http://127.0.0.1:1: .*refused\n", done.stderr
    )


@pytest.mark.parametrize(("fault", "kind"), [("drop", "lost"), ("double", "duplicated"), ("reorder", "reordered")])
def test_fault_of_the_server_is_found_by_plain_locust(tmp_path, fault, kind):
    with chat("tests.integration.loadtest.broken_chat:application", CHAT_FAULT=fault) as address:
        code, report = run_locust(tmp_path, address, "--exclude-tags", "move", "-t", "12s")
    assert wrong(report) == {kind: 1}, report["faults"]
    assert re.match(rf"{kind}: message \d+ of load-0000\d#1 in room-\d at load-0000\d", report["faults"][0]), report[
        "faults"
    ]
    assert not report["passed"]
    assert code == 1


@pytest.mark.parametrize("count", [1, 2], ids=["one-process", "workers"])
def test_deaf_client_is_due_what_was_sent_to_its_room(tmp_path, count):
    """The client receives nothing at all, not even its own messages, and no close."""
    with chat("tests.integration.loadtest.broken_chat:application", CHAT_FAULT="deaf") as address:
        _code, report = run_locust(tmp_path, address, "--exclude-tags", "move", "-t", "10s", *processes(count))
    assert set(wrong(report)) == {"lost"}
    assert len({re.search(r" at (load-\d+) ", fault)[1] for fault in report["faults"]}) == 1
    # Two users are in each room, and the deaf one has missed the messages of both.
    assert len({re.search(r" of (load-\d+)#", fault)[1] for fault in report["faults"]}) == 2
    assert all("(0 received)" in fault for fault in report["faults"])
    assert not report["passed"]
