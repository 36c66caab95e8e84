"""A small load on the real product, with each option of `make load-smoke`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.layout import ROOT
from tests.integration.loadtest.test_whole_run import patient_objectives, wrong
from tests.stack import why_not

RUN_SECONDS = 240.0


@pytest.mark.parametrize("shape", ["deploy", "storm"])
def test_nothing_is_lost_and_every_node_comes_back(tmp_path, shape):
    """Two processes load a stack of their own, with sessions from before."""
    if reason := why_not():
        pytest.skip(reason)
    options = [
        "--smoke",
        "--users",
        "12",
        "--seconds",
        "9",
        "--pace",
        "0.5",
        "--shape",
        shape,
        "--workers",
        "2",
        "--logged-in",
    ]
    options += ["--objectives", str(patient_objectives(tmp_path))]
    command = [sys.executable, "-m", "loadtest", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    found = re.search(r"^report: (\S+)/report.html$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    report = json.loads((Path(found[1]) / "report.json").read_text())
    assert not wrong(report), report["faults"]
    assert report["totals"]["users"] == 12
    assert report["totals"]["deliveries"] == report["totals"]["deliveries_due"] > 0
    assert not report["problems"], report["problems"]
    if shape == "deploy":
        assert ["was back" in each for each in report["incidents"]] == [True, True], report["incidents"]
        # The nodes ended by order of the run.
        assert [each["value"] for each in report["checks"] if each["name"] == "services_ended"] == [0], report["notes"]
    assert {"nginx", "redis", "relay", "web"} < set(report["services"])
