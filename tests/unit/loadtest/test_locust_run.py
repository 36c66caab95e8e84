"""The exit code of Locust. In a process of its own, because an import of Locust patches the standard library."""

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


def test_run_whose_report_cannot_be_written_fails():
    """Locust logs an exception of a listener, and then ends with 0."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}
    done = subprocess.run(
        [sys.executable, "-c", UNWRITTEN], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "exit code 1\n", done.stderr[-2000:]
