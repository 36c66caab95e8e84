"""Faults planted in front of a stand-in for the product fail the run, which names each by its cause.

`planted_rows` plants the same and more in the real product.
"""

import dataclasses
import json

import pytest

from tests.integration.loadtest.planted_rows import BROKEN, ROWS, run
from tests.integration.loadtest.test_whole_run import QUICK, address, patient_objectives

__all__ = ["address"]

# Differences from the row, because the stand-in has few users and events, and the objectives that find the fault.
SMALLER = {
    "deaf": ({}, {"answer_seconds": 2}),
    "pages": ({"options": ("--shape", "steps", "--step-users", "4")}, {"page_p95_ms": 1000}),
    "logins": ({}, {"login_p95_ms": 5000}),
    "drop": ({"proxy": {"drop_each": 20}}, {}),
    "refused": ({}, {}),
    "password": ({}, {}),
    "certificate": ({}, {}),
    "502": ({"proxy": {"refuse_each": 10}}, {}),
    "own": ({"locustfile": BROKEN}, {}),
}


@pytest.mark.parametrize("name", SMALLER)
def test_planted_fault_fails_the_run_and_is_named(name, address, tmp_path):
    smaller, limits = SMALLER[name]
    row = dataclasses.replace(ROWS[name], **({"locustfile": QUICK} | smaller))
    objectives = ("--objectives", str(patient_objectives(tmp_path, **limits)))
    said = run(row, address, tmp_path, users=8, seconds=9.0, options=objectives)
    assert said.verdict == "FAILED"
    report = json.loads((tmp_path / "report.json").read_text())
    assert said.named != "NOT NAMED", (tmp_path / "headline.txt").read_text()
    if name == "own":
        assert not any(report["counts"].values()), report["faults"]
    if name == "drop":
        # All that is missing is known to be the proxy's.
        assert not [each for each in report["checks"] if each["name"] == "unexplained" and each["value"]]
    if name in ("refused", "password", "certificate"):
        assert said.seconds < 60.0
