"""The part between Locust and a run. In processes of their own, because Locust patches the standard library."""

import os
import subprocess
import sys

from deploy.local.layout import ROOT

UNWRITTEN = """
from types import SimpleNamespace
from loadtest import locust_run

def fail(*_result):
    raise OSError("no space left")

locust_run.write_report = fail
environment = SimpleNamespace(process_exit_code=None)
this = SimpleNamespace(
    is_worker=False,
    _is_reported=False,
    run=SimpleNamespace(problem="", accounts=SimpleNamespace(account=object())),
    environment=environment,
    _directories=iter([None]),
    _present_result=lambda: SimpleNamespace(passed=True),
)
try:
    locust_run.LocustRun.report(this)
except OSError:
    print("exit code", environment.process_exit_code)
"""


CONFIGURED = """
from argparse import Namespace
from types import SimpleNamespace
from loadtest import locust_run
from loadtest.run.objectives import OBJECTIVES

options = Namespace(objectives=str(OBJECTIVES), plant="", shape="steps", step_users=0, num_users=20, hold_seconds=5.0)
environment = SimpleNamespace(host="http://localhost", user_classes=[])
for own_shape in (None, object()):
    this = SimpleNamespace(
        is_worker=True,
        options=options,
        environment=environment,
        _weights={},
        _own_shape=own_shape,
        _new_run=lambda *_objectives, **_more: SimpleNamespace(search=None),
    )
    print(locust_run.LocustRun._configured(this).search is None)
options.hold_seconds = 0.0
try:
    locust_run.LocustRun._configured(this)
except ValueError as error:
    print(error)
"""


def said_by(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_run_whose_report_cannot_be_written_fails():
    """Locust logs an exception of a listener, and then ends with 0."""
    assert said_by(UNWRITTEN) == ["exit code 1"]


def test_shape_of_the_locustfile_makes_no_search_and_no_number_is_impossible():
    """The report of such a run had the result of a search that never began. Options may come from Locust's page."""
    assert said_by(CONFIGURED) == ["False", "True", "--hold-seconds must be above 0, and is 0"]
