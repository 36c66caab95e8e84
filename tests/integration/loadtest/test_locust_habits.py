"""Options and pages of Locust that its users know, each with the accounts of deliveries."""

import contextlib
import csv
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest

from deploy.local.layout import ROOT, free_port
from deploy.local.processes import tie_to_parent
from tests.integration.loadtest.chat_server import chat, environment, processes
from tests.integration.loadtest.test_whole_run import patient_objectives, wrong

RUN_SECONDS = 200.0
QUICK_CHAT = ROOT / "tests" / "integration" / "loadtest" / "quick_chat.py"
OWN_SHAPE = '''
from examples.chat.locustfile import Chatter
from locust import LoadTestShape
from loadtest.run import run_controller

run_controller.SETTLE_LEAST_SECONDS = 2.0


class TwoThenFour(LoadTestShape):
    """Two users, then four, then one, by the run's own time."""

    def tick(self):
        seconds = self.get_run_time()
        return (2, 5) if seconds < 4 else (4, 5) if seconds < 9 else (1, 5) if seconds < 12 else None
'''


@pytest.fixture(scope="module")
def address():
    with chat() as url:
        yield url


def locust(directory, address, *more, locustfile=QUICK_CHAT):
    return [
        *(sys.executable, "-m", "locust", "-f", str(locustfile), "--host", address, "--pace", "0.2"),
        *("--result", str(directory / "result"), "--objectives", str(patient_objectives(directory)), *more),
    ]


def run(directory, address, *more, users=4, locustfile=QUICK_CHAT):
    """Run Locust without its page, and return the process."""
    options = ["--headless", "--only-summary", "--users", str(users), "--spawn-rate", "10", *more]
    return subprocess.run(
        locust(directory, address, *options, locustfile=locustfile),
        cwd=directory,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )


def report_of(directory, done):
    path = directory / "result" / "report.json"
    assert path.exists(), done.stdout[-2000:] + done.stderr[-3000:]
    return json.loads(path.read_text())


def test_run_time_ends_the_work_and_not_the_accounts(address, tmp_path):
    """-t counts from the start. Due messages are awaited after it, as after any hold."""
    done = run(tmp_path, address, "-t", "7s")
    report = report_of(tmp_path, done)
    at = dict(report["phases"])
    assert 6 <= at["settle"] < 60, report["phases"]
    assert report["configuration"]["hold_seconds"] == at["settle"] - at["hold"]
    assert not report["problems"]
    assert not wrong(report)
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    assert done.returncode == 0


@pytest.mark.parametrize("count", [1, 2], ids=["one-process", "workers"])
def test_run_that_is_ended_is_reported_as_it_stands(address, tmp_path, count):
    """SIGTERM, as of a job that takes too long. Locust itself handles it only in runs without a shape."""
    command = locust(
        tmp_path, address, "--headless", "--only-summary", "--users", "4", "--spawn-rate", "10", *processes(count)
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--hold-seconds", "600"], env=environment(), stdout=log, stderr=log)
    try:
        Page("").wait_for(lambda: b"phase hold" in (tmp_path / "log").read_bytes())
        # Long enough for some messages and for the accounts of workers.
        time.sleep(6.0)
        process.terminate()
        assert process.wait(60.0) == 1
    finally:
        process.kill()
    report = json.loads((tmp_path / "result" / "report.json").read_text())
    assert report["problems"][0] == "the run was stopped before its accounts were settled"
    assert not wrong(report), report["faults"]
    assert report["totals"]["deliveries_due"] > 0


def test_tags_choose_tasks(address, tmp_path):
    report = report_of(tmp_path, run(tmp_path, address, "--hold-seconds", "5", "--tags", "talk"))
    # Without the other task, no user connects again.
    assert report["totals"]["handshakes"] == report["totals"]["users"] == 4
    assert report["totals"]["events_published"] > 0


def test_excluded_tags_leave_the_other_tasks(address, tmp_path):
    report = report_of(tmp_path, run(tmp_path, address, "--hold-seconds", "6", "--exclude-tags", "talk"))
    assert report["totals"]["handshakes"] > report["totals"]["users"]
    assert report["totals"]["events_published"] == 0
    assert report["problems"] == ["no event was due to anybody: nothing was measured"]


def test_tags_without_a_task_are_named(address, tmp_path):
    done = run(tmp_path, address, "--tags", "absent")
    assert done.returncode == 2
    assert "the load test cannot start: no task is left: see --tags and --exclude-tags" in done.stderr


def test_user_without_accounts_is_named(address, tmp_path):
    own = tmp_path / "own_user.py"
    own.write_text("from locust import HttpUser\nimport loadtest.product\n\nclass Visitor(HttpUser):\n    pass\n")
    done = run(tmp_path, address, locustfile=own)
    assert done.returncode == 2
    assert "the load test cannot start: Visitor must be a subclass of LiveUser" in done.stderr


def test_csv_and_html_have_the_deliveries(address, tmp_path):
    files = ("--csv", str(tmp_path / "mine"), "--html", str(tmp_path / "mine.html"))
    report = report_of(tmp_path, run(tmp_path, address, "--hold-seconds", "5", *files))
    with (tmp_path / "mine_stats.csv").open() as table:
        counts = {each["Name"]: int(each["Request Count"]) for each in csv.DictReader(table)}
    assert counts["delivery"] == report["totals"]["deliveries"] > 0
    assert "delivery" in (tmp_path / "mine.html").read_text()


def test_processes_share_a_run(address, tmp_path):
    report = report_of(tmp_path, run(tmp_path, address, "--hold-seconds", "6", *processes(2), users=6))
    assert report["configuration"]["generators"] == 2
    assert report["totals"]["users"] == 6
    assert not wrong(report), report["faults"]
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    # Users of both processes are in each room, so more arrives than one process has sent.
    assert report["totals"]["deliveries"] > report["totals"]["events_published"]


def test_shape_of_the_locustfile_decides(address, tmp_path):
    own = tmp_path / "own_shape.py"
    own.write_text(OWN_SHAPE)
    report = report_of(tmp_path, run(tmp_path, address, users=1, locustfile=own))
    users = [row[1] for row in report["series"]["users"]]
    assert max(users) == 4
    assert report["configuration"]["shape"] == "TwoThenFour"
    at = dict(report["phases"])
    assert report["configuration"]["hold_seconds"] == at["settle"] - at["hold"]
    assert not wrong(report), report["faults"]
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    assert not report["problems"]
    assert [name for name, _ in report["phases"]] == ["ramp", "hold", "settle", "ended"]


class Page:
    """Locust's page."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:  # noqa: S310 - our own page
            return answer.read().decode()

    def post(self, path, **fields):
        data = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data=data, timeout=60) as answer:  # noqa: S310 - our own page
            return json.loads(answer.read())

    def wait_for(self, is_so):
        until = time.monotonic() + RUN_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if is_so():
                    return
            time.sleep(0.3)
        raise AssertionError("Locust's page did not change as expected")

    @property
    def state(self):
        return json.loads(self.get("/stats/requests"))["state"]


@contextlib.contextmanager
def page(directory, address, *more):
    port = free_port()
    command = locust(directory, address, "--web-host", "127.0.0.1", "--web-port", str(port), *more)
    with (directory / "locust.log").open("wb") as log:
        process = subprocess.Popen(
            [*tie_to_parent(), *command], cwd=directory, env=environment(), stdout=log, stderr=log
        )
    try:
        shown = Page(f"http://127.0.0.1:{port}")
        shown.wait_for(lambda: shown.get("/"))
        yield shown
    finally:
        process.terminate()
        process.wait(60.0)


def test_options_are_on_the_page(address, tmp_path):
    with page(tmp_path, address) as shown:
        html = shown.get("/")
        # Before the first test there is nothing to report, which is no error.
        assert "0 deliveries were due" in shown.get("/deliveries")
    for option in ("hold_seconds", "pace", "journeys", "shape", "plant", "title"):
        assert f'"{option}"' in html, option
    # A page must not start programs or read files.
    for option in ("node_command", "result", "sessions", "services_of"):
        assert f'"{option}"' not in html, option


def start(shown, **fields):
    answer = shown.post("/swarm", user_count=3, spawn_rate=10, **fields)
    assert answer["success"], answer
    shown.wait_for(lambda: shown.state in ("spawning", "running"))


@pytest.mark.parametrize("count", [1, 2], ids=["one-process", "workers"])
def test_new_test_has_fresh_accounts(address, tmp_path, count):
    """The second test of a process has its own options, users, figures and report."""
    reports = []
    with page(tmp_path, address, *processes(count)) as shown:
        for n, name in enumerate(("result", "result_2")):
            shown.wait_for(lambda: count == 1 or len(json.loads(shown.get("/stats/requests"))["workers"]) == 2)
            start(shown, hold_seconds=4 + n, title=f"test {n}")
            path = tmp_path / name / "report.json"
            shown.wait_for(path.exists)
            shown.wait_for(lambda: shown.state == "stopped")
            reports.append(json.loads(path.read_text()))
    for n, report in enumerate(reports):
        assert report["title"] == f"test {n}"
        assert report["configuration"]["hold_seconds"] == 4 + n
        assert not wrong(report), report["faults"]
        assert not report["problems"], report["problems"]
        assert report["totals"]["users"] == 3
        assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
        assert [phase for phase, _ in report["phases"]] == ["ramp", "hold", "settle", "ended"]
        # The seconds of each run begin at 0.
        assert report["series"]["users"][0][0] <= 2


def test_new_test_has_the_users_of_the_first(address, tmp_path):
    """Only so many users may exist in the product. The planted fault shows the name of one."""
    # A client that goes out gets its fault later or never.
    with page(tmp_path, address, "--exclude-tags", "move") as shown:
        for name in ("result", "result_2"):
            start(shown, hold_seconds=10, plant="double")
            path = tmp_path / name / "report.json"
            shown.wait_for(path.exists)
            shown.wait_for(lambda: shown.state == "stopped")
            [fault] = json.loads(path.read_text())["faults"]
            assert re.fullmatch(r"duplicated: message \d+ of (load-0000[123])#\d in room-\d at \1", fault)


@pytest.mark.parametrize("count", [1, 2], ids=["one-process", "workers"])
def test_report_is_on_the_page_while_a_test_runs_and_after_it_is_stopped(address, tmp_path, count):
    with page(tmp_path, address, *processes(count)) as shown:
        shown.wait_for(lambda: count == 1 or len(json.loads(shown.get("/stats/requests"))["workers"]) == 2)
        start(shown, hold_seconds=600, title="Mine")
        during = re.compile(r"Mine, hold, \d+ s so far.*[1-9][\d,]* deliveries were due", re.DOTALL)
        shown.wait_for(lambda: during.search(shown.get("/deliveries")))
        shown.post("/stop")
        shown.wait_for(lambda: shown.state == "stopped")
        after = shown.get("/deliveries")
    report = json.loads((tmp_path / "result" / "report.json").read_text())
    assert "so far" not in after
    for text in (after, *report["problems"]):
        assert "the run was stopped before its accounts were settled" in text
    assert report["totals"]["deliveries_due"] > 0
    # A message that was on its way is not lost.
    assert not wrong(report), report["faults"]


def test_bad_option_of_the_page_ends_the_test_with_its_reason(address, tmp_path):
    with page(tmp_path, address) as shown:
        shown.post("/swarm", user_count=3, spawn_rate=10, journeys="Painter=1")
        path = tmp_path / "result" / "report.json"
        shown.wait_for(path.exists)
    assert json.loads(path.read_text())["problems"][0] == "Painter is no journey; there are Chatter"
