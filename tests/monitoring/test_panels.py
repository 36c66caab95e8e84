"""The query of every panel parses and has data, on a real Prometheus that scraped the real stack under load."""

import contextlib
import os
import re
import subprocess
import sys

import pytest

from deploy.grafana.panels import ANNOTATIONS
from deploy.grafana.write import DASHBOARDS
from deploy.local.layout import ROOT
from loadtest.locust_processes import LOCUST, LOCUSTFILE
from tests.monitoring.monitored_users import Crowd, of, substituted
from tests.monitoring.watched import Watched, why_not
from tests.runbooks import queries

# One group, because a process that runs both tests starts their stack once.
pytestmark = [pytest.mark.smoke, pytest.mark.xdist_group("panels")]

# Must include all activity of the crowd, also on a slow machine, which queries a minute later.
WINDOW = "2m"
# Metrics without data unless there is a fault: their panel shows 0 because of `or vector(0)`.
ONLY_AFTER_A_FAULT = ("ALERTS",)
EXPORTERS = re.compile(r"\b(redis|nginx|pg|node|probe)_")


def needs(expr: str) -> str:
    match = EXPORTERS.search(expr)
    return match[1] if match else ""


@contextlib.contextmanager
def load_test(eyes, directory):
    """Run a few load users for longer than the test, without using their report."""
    environment = eyes.stack.environment
    environment = {**environment, "PYTHONPATH": os.pathsep.join((environment["PYTHONPATH"], str(ROOT)))}
    people = [sys.executable, "-m", "loadtest.create_users", "6"]
    subprocess.run(people, cwd=ROOT, env=environment, check=True, timeout=60)
    command = [*LOCUST, "-f", str(LOCUSTFILE), "--headless", "--users", "6", "--host", eyes.stack.url]
    command += [
        "--hold-seconds",
        "600",
        "--metrics",
        f"127.0.0.1:{eyes.load_port}",
        "--result",
        str(directory / "load"),
    ]
    with (directory / "load.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def scene(stack_factory, tmp_path_factory):
    """Thirty people with three sockets each, on two nodes; some leave and return, documents are written.

    A load test runs too, because its live figures have a dashboard. Both tests share them, because the start takes
    longer than the queries.
    """
    if reason := why_not():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("panels")
    with stack_factory(ws=2) as stack, Watched(stack, directory / "watched", loaded=True) as eyes:
        # The rate of a counter needs a sample from before the activity.
        assert eyes.wait(eyes.sees_all, seconds=30)
        crowd = Crowd(stack, 30)
        with contextlib.closing(crowd), load_test(eyes, directory):
            crowd.join(90)
            assert eyes.wait(lambda: bool(eyes.query("tidewire_load_users == 6")), seconds=60)
            crowd.write(3)
            crowd.lose()
            crowd.knock(2)
            crowd.write(10)
            yield eyes


def test_every_panel_has_data_and_a_misspelled_metric_has_not(scene):
    asked = [
        substituted(expr, window=WINDOW)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        for expr in of(panel.queries)
    ]
    asked = [expr for expr in asked if needs(expr) in {"", *scene.exporters}]
    assert len(asked) > 40
    # Rates need two scrapes and recorded values an evaluation, so queries without data are repeated.
    scene.wait(lambda: not any(map(scene.problem, asked)), seconds=30)
    assert [problem for problem in map(scene.problem, asked) if problem] == []

    for name, expr, _colour in ANNOTATIONS:
        assert scene.query(expr) is not None, name
    wrong = ("sum(tidewire_conections)", "sum(tidewire_connections", "rate(tidewire_connects[30s])")
    assert all(map(scene.problem, wrong))


def test_every_query_of_a_runbook_parses(scene):
    """An operator must be able to paste each query during an incident."""
    broken = []
    for _page, query in queries():
        try:
            scene.query(query)
        except AssertionError as error:
            broken.append(f"{query}: {error}")
    assert broken == []
