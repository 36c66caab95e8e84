"""The state that users of a run share: names of events, saves, expected editors, and whether all have caught up."""

import pytest

from loadtest.run import figures
from loadtest.run.accounts import Save
from loadtest.run.clock_difference import Difference
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import LINGER_SECONDS, Run
from testkit.delivery_ledger import Ledger


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def run(clock):
    return Run(Objectives.read(), lambda **_request: None, clock=clock)


def event(offset, *, verb="updated", title="plan, save 1 of ada"):
    return {"offset": offset, "notification_id": offset + 40, "verb": verb, "title": title}


def test_event_is_named_once_and_its_save_is_heard_of(run):
    run.accounts.saves["plan, save 1 of ada"] = Save(1.0)
    run.accounts.published("e", event(7), 1.0)
    assert run.accounts.names == {("e", 7): "notification 47 (updated 'plan, save 1 of ada')"}
    assert (run.accounts.announced, run.accounts.furthest) == ({"plan, save 1 of ada"}, 7)


def test_event_that_only_bears_a_saved_title_is_no_word_of_that_save(run):
    run.accounts.saves["plan, save 1 of ada"] = Save(1.0)
    run.accounts.published("e", event(7, verb="edit_started"), 1.0)
    assert not run.accounts.announced


def test_figures_are_kept_by_the_second_and_told_to_locust(clock):
    reported = []
    run = Run(Objectives.read(), lambda **request: reported.append(request), clock=clock)
    clock.now += 3.5
    run.measured("WS", figures.HANDSHAKE, 0.25, what="handshake /ws/users/")
    assert run.figures.latencies[figures.HANDSHAKE].seconds == {3: {250.0: 1}}
    assert [(each["request_type"], each["name"], each["response_time"]) for each in reported] == [
        ("WS", "handshake /ws/users/", 250.0)
    ]


def test_editor_who_was_never_seen_to_leave_is_not_waited_for(run, clock):
    run.begin_editing("plan", "ada")
    run.end_editing("plan", "ada")
    clock.now += LINGER_SECONDS - 1
    run.begin_editing("plan", "ada")
    assert not run.editing
    clock.now += LINGER_SECONDS
    run.begin_editing("plan", "ada")
    assert run.editing == {("plan", "ada"): clock.now}


def test_form_that_is_loaded_anew_is_no_new_editor(run, clock):
    run.begin_editing("plan", "ada")
    began = clock.now
    clock.now += 10
    run.begin_editing("plan", "ada")
    assert run.editing == {("plan", "ada"): began}


def test_run_is_even_once_every_open_stay_has_reached_the_end(run):
    ledger = Ledger("ada", ("e", 4))
    run.accounts.ledgers.append(ledger)
    assert not run.accounts.is_even()
    run.accounts.end = ("e", 5)
    assert not run.accounts.is_even()
    ledger.received(5, 0.0)
    assert run.accounts.is_even()


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [([3, 3, 3], 0), ([4, 4, 4], 0), ([3, 3, 2], 1), ([2, 2, 2], 3)],
    ids=["all", "with a person beside the test", "one is behind", "all are wrong"],
)
def test_counts_that_disagree_are_counted(run, shown, wrong):
    run.online = {"ada", "bob", "eve"}
    run.counts = dict(zip(sorted(run.online), shown, strict=True))
    assert run.disagreements() == wrong


def test_run_in_which_nothing_was_due_is_no_measurement(run):
    run.reconcile()
    assert run.problem == "no event was due to anybody: nothing was measured"


@pytest.mark.parametrize(("error", "judged"), [(0.020, True), (0.030, False)])
def test_delivery_is_judged_where_the_clocks_are_known_to_a_tenth_of_the_objective(clock, error, judged):
    run = Run(Objectives.read(), lambda **_request: None, clock=clock)
    run.differences["worker 1"] = Difference(3.0, error)
    run.figures.latencies[figures.DELIVERY].add(1, 12.0)
    values = run.values(cpu_share=0.1, lag_ms=1.0)
    assert ("delivery_p95_ms" in values) is judged


def test_meter_keeps_three_digits_of_each_second(clock):
    reported = []
    run = Run(Objectives.read(), print, clock=clock, report_many=lambda *second: reported.append(second))
    meter = run.meter("EVENT", figures.DELIVERY)
    for second, seconds in ((1, 0.012341), (1, 0.012344), (1, 1.23456), (2, 0.5)):
        meter.add(second, seconds)
    assert reported == [("EVENT", figures.DELIVERY, {12.3: 2, 1230.0: 1})]
    run.flush()
    run.flush()
    assert run.figures.latencies[figures.DELIVERY].seconds == {1: {12.3: 2, 1230.0: 1}, 2: {500.0: 1}}
