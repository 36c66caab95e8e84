"""The order of the steps, and the progress that is printed from it."""

from collections import Counter

import pytest

from bench.measure_fanout import Dose
from bench.plan import FULL_DOSE, Plan, Step, full, quick
from bench.progress import Progress, minutes


def plan(**more):
    defaults = {"measures": ("fanout",), "servers": ("ws", "tidewire"), "clients": (200, 1000), "rounds": 2, **more}
    return Plan(dose=FULL_DOSE, **defaults)


def test_fanout_visits_every_server_in_turn_before_the_next_round():
    assert [(step.round, step.clients, step.server) for step in plan().steps()] == [
        (number, clients, server) for number in (1, 2) for clients in (200, 1000) for server in ("ws", "tidewire")
    ]


def test_stock_has_two_rounds_of_fanout_and_tidewire_all():
    steps = list(plan(servers=("daphne-pubsub", "tidewire"), clients=(200, 4000), rounds=3).steps())
    rounds = Counter((step.server, step.clients) for step in steps)
    assert rounds[("tidewire", 200)] == rounds[("tidewire", 4000)] == 3
    assert (rounds[("daphne-pubsub", 200)], rounds[("daphne-pubsub", 4000)]) == (2, 1), "it takes minutes there"


def test_naive_broadcast_is_stormed_once_and_tidewire_every_round():
    steps = list(plan(measures=("storm",), servers=("daphne-pubsub", "ws", "tidewire"), rounds=3).steps())
    assert sum(step.server == "tidewire" for step in steps) == 6
    assert sum(step.server == "daphne-pubsub" for step in steps) == 2
    assert not any(step.server == "ws" for step in steps)


def test_what_is_steady_has_two_rounds():
    steps = list(plan(measures=("idle", "stall"), rounds=3).steps())
    assert {step.round for step in steps} == {1, 2}


def test_only_who_knows_sessions_is_measured_with_them():
    steps = list(plan(measures=("idle",), servers=("daphne-pubsub", "ws", "tidewire"), rounds=1).steps())
    assert [(step.server, step.variant) for step in steps] == [
        ("daphne-pubsub", "bare"),
        ("ws", "bare"),
        ("tidewire", "bare"),
        ("daphne-pubsub", "session"),
        ("tidewire", "session"),
        ("tidewire", "ticket"),
    ]


def test_full_plan_has_every_measure_and_quick_only_the_core():
    assert {step.measure for step in full().steps()} == {"fanout", "idle", "storm", "stall"}
    assert {(step.measure, step.clients) for step in quick().steps()} == {("fanout", 1000)}


def test_full_plan_has_the_peers_and_both_publishers():
    steps = list(full().steps())
    assert {"centrifugo", "ws-buffer", "tidewire-outbox"} < {step.server for step in steps if step.measure == "fanout"}
    assert {step.variant for step in steps if (step.measure, step.server) == ("idle", "centrifugo")} == {
        "bare",
        "ticket",
    }


def test_quick_plan_has_the_cheapest_stock_and_fits_into_its_time():
    """Six steps of at most 17 s: start, connect, two doses, and each time one more event that takes long to arrive."""
    plan = quick()
    steps = list(plan.steps())
    assert {step.server for step in steps} == {"uvicorn-pubsub", "ws", "tidewire"}
    assert plan.tries == 1
    assert plan.most_seconds <= 100.0
    assert len(steps) * (11.0 + sum(dose.seconds for dose in plan.dose.values())) <= 110.0


def test_dose_is_bounded_on_both_sides():
    assert all(0 < dose.least <= dose.most for dose in FULL_DOSE.values())
    assert Dose(1.0, 2, 3).seconds == pytest.approx(1.0)


def test_time_left_is_learned_from_the_round_before(capsys):
    steps = [Step("fanout", "ws", 1000, number) for number in (1, 2, 3)]
    progress = Progress(steps)
    progress.before(0)
    progress.after(0, "12.3 us")
    progress.before(1)
    output = capsys.readouterr().out
    assert "[1/3] round 1: fanout ws 1000 clients ... (about 45 s left)" in output
    assert "    12.3 us" in output
    assert "[2/3] round 2: fanout ws 1000 clients ... (about 0 s left)" in output


def test_later_rounds_are_left_out_if_no_time_is_left(capsys):
    """An hour is enough for all; without any time the first round runs nevertheless."""
    steps = [Step("fanout", "ws", 1000, number) for number in (1, 2)]
    patient, hasty = Progress(steps, most_seconds=3600.0), Progress(steps, most_seconds=0.0)
    assert [patient.left_out(number) for number in (0, 1)] == [False, False]
    assert [hasty.left_out(number) for number in (0, 1)] == [False, True]
    assert "[2/2] round 2: fanout ws 1000 clients is left out: no time is left" in capsys.readouterr().out


def test_times_are_said_for_people():
    assert (minutes(40.2), minutes(720)) == ("40 s", "12 min")
