"""The verdict of a run. A search without a kept step has none of a product that keeps its objectives."""

from argparse import Namespace
from types import SimpleNamespace

import pytest

from loadtest.report import result
from loadtest.report.result import Result
from loadtest.run.generator_health import Sample
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import ENDED, HOLD, Run
from loadtest.run.shapes import Search, Step
from testkit.delivery_ledger import Kind
from testkit.reconciliation import Account


@pytest.fixture(autouse=True)
def without_locust(monkeypatch):
    """Its import patches the standard library, here too late."""
    monkeypatch.setattr(result, "_configuration", lambda _run, _environment: {})


def verdict(*steps, plant="", counts=(), phase=ENDED):
    run = Run(Objectives.read(), lambda **_request: None, clock=lambda: 1000.0)
    run.samples.append(Sample(1000.0, 0.1, 1.0))
    run.accounts.account = Account(2, 20, 20, 10, dict(counts), ())
    run.phase = phase
    run.search = Search(step=10, most=20)
    for step in steps:
        run.search.went(step)
    options = Namespace(
        title="",
        shape="steps",
        num_users=20,
        run_time=None,
        hold_seconds=5.0,
        spawn_rate=1,
        login_rate=2.0,
        pace=1.0,
        plant=plant,
        expect_workers=1,
    )
    stats = SimpleNamespace(entries={})
    environment = SimpleNamespace(parsed_options=options, stats=stats, user_classes=[], host="", runner=None)
    return Result.of(run, environment)


def test_search_whose_first_step_broke_an_objective_fails():
    """Over the whole run, the figure can be within the same objective."""
    found = verdict(Step(10, 260.0, broken=("delivery_p95_ms was 260, 250 allowed",)))
    assert found.problems == [
        "no step kept all objectives: at 10 users delivery_p95_ms was 260, 250 allowed",
    ]
    assert not found.passed


def test_search_that_kept_a_step_passes():
    assert verdict(Step(10, 90.0), Step(20, 260.0, broken=("delivery_p95_ms was 260, 250 allowed",))).passed


def test_planted_fault_that_was_not_found_fails():
    """No client received enough events in a row: the run passed, and so had not shown that it can fail."""
    kept = Step(10, 90.0)
    found = verdict(kept, plant="drop,double", counts={Kind.LOST: 1})
    assert found.problems == ["planted and not found: double"]
    assert verdict(kept, plant="drop,double", counts={Kind.LOST: 1, Kind.DUPLICATED: 1}).problems == []
    assert verdict(kept, plant="drop", phase=HOLD).problems == []
    assert verdict(kept, plant="starve").problems == []
