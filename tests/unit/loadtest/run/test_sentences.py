"""The sentences of a report: the sum, faults that are not judged, services that ended, and foreign load."""

from dataclasses import replace

import pytest

from loadtest.run.figures import Moment
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import Run
from loadtest.run.sentences import sentences
from loadtest.run.service_watch import Ended
from testkit.delivery_ledger import Kind
from testkit.reconciliation import UNKNOWN, Account


def make_run(**account):
    run = Run(replace(Objectives.read(), left_grace_seconds=2.0), lambda **_request: None, clock=lambda: 1000.0)
    counts = account.pop("counts", {})
    run.accounts.account = Account(2, 20, 18, 10, counts, (), **account)
    return run


def said(run, until=float("inf")):
    return sentences(run, 0, until)


def test_sum_names_all_differences():
    run = make_run(offered=30, read=24, in_grace=2, unread=1, counts={Kind.LOST: 3, Kind.MISSED: 1})
    [sentence] = said(run)
    assert sentence.startswith("published times audience is 30: 23 received once, 3 lost, 1 missed, 2 within the")
    assert sentence.endswith(" grace of 2 s of a page that was left, 1 unread by a client whose code failed")


def test_difference_without_a_name_is_said():
    assert said(make_run(offered=30, read=28, unexplained=2)) == [
        "published times audience is 30: 28 received once, 2 unexplained"
    ]


def test_faults_of_steps_that_were_not_kept_are_said_and_not_judged():
    run = make_run(seconds={(Kind.LATE, 5): 1, (Kind.LATE, 15): 7, (Kind.LOST, UNKNOWN): 2})
    assert run.fault_counts(12) == {Kind.LATE: 1, Kind.LOST: 2}
    assert said(run, 12) == ["not judged, because their step was not kept: 7 late"]
    assert said(run) == []


def test_service_that_ended_is_said():
    run = make_run()
    run.ended_services = [Ended("ws:18201", 12, 31, "ended", 33)]
    [sentence] = said(run)
    assert sentence == "service ws:18201 (process 12) ended at 31 s without an order of this run, and was back at 33 s"


@pytest.mark.parametrize(
    ("cores", "services", "sentence"),
    [
        ([0.5, 0.6], {"web": 0.2}, "processes neither of the generator nor of the services used 0.55 of a core"),
        ([0.5, 0.6], {}, "processes other than the generator used 0.55 of a core"),
        ([0.05], {"web": 0.2}, ""),
        ([None], {"web": 0.2}, ""),
    ],
    ids=["watched", "services elsewhere", "what any machine does", "not measured"],
)
def test_foreign_load_is_said_if_it_is_more_than_a_tenth_of_a_core(cores, services, sentence):
    run = make_run()
    run.figures.moments = [Moment(n, "hold", 1, 1, 0.1, 1.0, services, foreign=each) for n, each in enumerate(cores)]
    found = said(run)
    assert len(found) == bool(sentence)
    assert all(each.startswith(sentence) for each in found)
