"""The timeline of a run, and how a search for the largest number of users ends and is described."""

import itertools

import pytest

from loadtest.run.shapes import SHAPES, Action, Search, Step, due


def actions(shape, hold_seconds=60.0):
    return [(stretch.at_seconds, stretch.action) for stretch in SHAPES[shape](hold_seconds)]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("ramp", []),
        ("soak", []),
        ("spike", [(0.0, Action.DEACTIVATE), (20.0, Action.ACTIVATE), (40.0, Action.DEACTIVATE)]),
        ("storm", [(20.0, Action.DISCONNECT), (25.0, Action.RECONNECT)]),
        ("drain", [(20.0, Action.DRAIN)]),
        ("deploy", [(15.0, Action.DEPLOY)]),
    ],
)
def test_shape_is_a_timeline_over_the_hold(shape, expected):
    assert actions(shape) == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hold_seconds", [3.0, 60.0, 3600.0])
def test_everything_that_a_shape_begins_it_ends_within_the_hold(shape, hold_seconds):
    timeline = SHAPES[shape](hold_seconds)
    assert [stretch.at_seconds for stretch in timeline] == sorted(stretch.at_seconds for stretch in timeline)
    assert all(stretch.at_seconds < hold_seconds for stretch in timeline)
    begun = [stretch.action for stretch in timeline]
    assert begun.count(Action.DISCONNECT) == begun.count(Action.RECONNECT)


def test_stretch_is_due_once_however_the_ticks_fall():
    timeline = SHAPES["storm"](60.0)
    ticks = [-1.0, 0.0, 19.9, 20.0, 21.0, 30.0, 31.0]
    found = [due(timeline, before=before, now=now) for before, now in itertools.pairwise(ticks)]
    assert [[stretch.name for stretch in each] for each in found] == [[], [], ["disconnected"], [], ["storm"], []]


def test_stretch_at_the_very_beginning_is_due_at_the_first_tick():
    assert [stretch.action for stretch in due(SHAPES["spike"](60.0), before=-1.0, now=0.0)] == [Action.DEACTIVATE]


def search(*p95s, most=1000, **last):
    """A search by steps with this p95 each; the last one breaks an objective if its p95 is over 250 ms."""
    made = Search(step=100, most=most)
    for i, p95 in enumerate(p95s):
        broken = (f"delivery_p95_ms was {p95:g}, 250 allowed",) if p95 and p95 > 250 else ()
        goes_on = made.went(Step(made.wanted, p95, broken=broken, **(last if i == len(p95s) - 1 else {})))
        assert goes_on is not bool(made.ended)
    return made


def test_search_ends_at_the_first_step_over_the_limit():
    found = search(20.0, 90.0, 250.0, 251.0)
    assert (found.users, found.at_least) == (300, False)
    assert str(found) == "max users within all objectives: 300 (at 400 users delivery_p95_ms was 251, 250 allowed)"


def test_search_that_the_generator_ended_knows_only_a_least():
    found = search(20.0, 90.0, 400.0, starved="its core was full")
    assert (found.users, found.at_least) == (200, True)
    assert "at least 200 (the generator was the bottleneck at 300 users: its core was full; " in str(found)


def test_generator_that_was_starved_is_believed_no_good_step_either():
    assert search(20.0, 90.0, starved="its core was full").users == 100


def test_search_that_kept_the_limit_to_the_end_knows_only_a_least():
    found = search(20.0, 30.0, most=150)
    assert [step.users for step in found.steps] == [100, 150]
    assert (found.users, found.at_least) == (150, True)


def test_search_over_the_limit_at_once_found_nobody():
    found = search(300.0)
    assert (found.users, found.at_least) == (0, False)


def test_step_in_which_nothing_came_keeps_nothing():
    found = search(20.0, None)
    assert found.users == 100
    assert found.ended == "nothing was delivered at 200 users"


def test_search_whose_users_did_not_come_knows_only_a_least():
    found = Search(step=100, most=1000)
    found.went(Step(100, 20.0))
    found.gave_up("only 150 of 200 users were live")
    assert (found.users, found.at_least) == (100, True)


def test_step_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="a step of 200 users does not fit into 100"):
        Search(step=200, most=100)


def test_step_names_whatever_breaks_first():
    broken = ("page_p95_ms was 4,020, 1,000 allowed", "server_errors was 3, 0 allowed")
    found = Search(step=10, most=100)
    assert found.went(Step(10, 20.0))
    assert not found.went(Step(20, 21.0, broken=broken))
    assert str(found) == f"max users within all objectives: 10 (at 20 users {'; '.join(broken)})"


@pytest.mark.parametrize("p95", [260.0, None])
def test_search_without_a_kept_step_is_a_problem(p95):
    """The run was judged as a whole, in which the step's percentile can be within its objective, and passed."""
    assert search(p95).problem.startswith("no step kept all objectives: ")
    assert search(90.0, 260.0).problem == ""
    assert Search(step=10, most=100).problem == ""
