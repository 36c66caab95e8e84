"""Ranges and effects, compared with answers that are calculated by hand."""

import dataclasses
import math

import pytest

from capacity.costs import Errors
from capacity.model import Factors, plan
from capacity.plan_text import described
from capacity.ranges import FIGURES, effects, ranges
from tests.unit.capacity.test_model import COSTS, MACHINE, costing, workload

ERRORS = Errors(**{key: [0.8, 1.0, 1.25] for key in FIGURES})


def test_range_reaches_from_the_least_to_the_greatest_error_of_held_out_runs():
    found = ranges(workload(pages=1.0), COSTS, ERRORS, nodes=1)
    assert (found.low.web_cores, found.high.web_cores) == (pytest.approx(0.8), pytest.approx(1.25))


def test_range_includes_the_figure_itself_if_all_errors_are_of_one_sign():
    found = ranges(workload(pages=1.0), COSTS, dataclasses.replace(ERRORS, web_cores=[1.1, 1.3]), nodes=1)
    assert (found.low.web_cores, found.high.web_cores) == (pytest.approx(1.0), pytest.approx(1.3))


def test_spread_of_a_cost_widens_the_range_of_the_figures_that_it_is_part_of():
    """Web is pages alone, so its spread is 30 %. It adds to the errors as the sides of a right angle do."""
    costs = costing(spread={"page_ms": 0.3})
    found = ranges(workload(pages=1.0, topics=()), costs, ERRORS, nodes=1)
    assert found.high.web_cores == pytest.approx(math.exp(math.hypot(math.log(1.25), math.log(1.3))))
    assert found.high.ws_cores == pytest.approx(1.25)


def test_chance_of_a_new_run_is_that_of_its_place_among_the_others():
    """Of four runs in a random order, the new one is neither the least nor the greatest twice in four."""
    assert ranges(workload(), COSTS, ERRORS, nodes=1).inside == pytest.approx(0.5)


def test_factors_change_figures_and_the_number_of_nodes():
    """50,000 deliveries of 15 us use three quarters of a node, so half as much again needs a third."""
    found = workload(users=2000, topics=(("stream", 25.0, 1.0),))
    high = plan(found, COSTS, factors=Factors(ws_cores=2.2))
    assert (plan(found, COSTS).nodes, high.nodes) == (2, 3)
    logins = workload(logins_per_second=1.0)
    assert plan(logins, COSTS, factors=Factors(web_cores=3.0)).web_cores == pytest.approx(1.5)


def test_effect_of_an_input_is_the_change_that_a_tenth_more_of_it_makes():
    found = {
        each.name: each for each in effects(workload(pages=60.0, topics=(), logins_per_second=2.0), COSTS, nodes=1)
    }
    # 20 cores of pages and one of logins.
    assert found["pages_per_user_minute"].changes["web_cores"] == pytest.approx(0.1 * 20 / 21)
    assert found["login_ms"].changes["web_cores"] == pytest.approx(0.1 * 1 / 21)
    assert found["login_ms"].changes["ws_cores"] == 0.0


def test_every_cost_and_every_number_of_a_topic_has_an_effect():
    found = {each.name: each for each in effects(workload(pages=1.0), COSTS, nodes=1)}
    assert found["delivery_us"].greatest > 0
    assert found["t0: audience_share"].greatest == 0.0, "a share of 1 cannot be greater"
    assert found["t0: events_per_second"].greatest > 0


def test_effects_begin_with_the_greatest():
    found = [each.greatest for each in effects(workload(pages=1.0), COSTS, nodes=1)]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (10_000.0, "It fits: at most 50%"),
        # 108 MiB of 230 are 47 %, and with the greatest error 59 %.
        (
            230.0,
            "**It fits if the model is right**: at the upper end of the range more than 50% of memory of a ws node",
        ),
        (150.0, "**It does not fit**: more than 50% of memory of a ws node"),
    ],
)
def test_verdict_says_what_the_range_leaves_open(memory, says):
    machine = dataclasses.replace(MACHINE, node_memory_mib=memory)
    found = workload(users=1000, topics=(), machine=machine)
    assert says in described(plan(found, COSTS, nodes=1), found, COSTS, ERRORS, nodes=1)
