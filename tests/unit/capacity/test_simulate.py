"""Incidents, compared with answers that are calculated by hand, and properties that all of them must have."""

import dataclasses

import pytest

pytest.importorskip("simpy", reason="only make setup and make bench install it")

from capacity import simulate
from capacity.model import plan
from capacity.simulate import (
    DRAIN_SECONDS,
    START_SECONDS,
    World,
    deploy,
    node_loss,
    storm,
)
from testkit.page_client import FIRST_DELAY_SECONDS
from tests.unit.capacity.test_model import COSTS, MACHINE, costing, workload


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Fewer cohorts than in a plan, so that the tests are fast."""
    monkeypatch.setattr(simulate, "COHORTS", 1000)


def world(*, users=4000, nodes=4, jitter=True, seed=1, **more):
    load = workload(users=users, topics=(), **more)
    return World.of(plan(load, COSTS, nodes=nodes), COSTS, load, seed=seed, jitter=jitter)


def test_storm_without_jitter_takes_as_long_as_its_handshakes():
    """Each of four nodes has 1,000 sockets, at one millisecond each."""
    outcome = storm(world(jitter=False))
    assert outcome.sockets == pytest.approx(4000)
    assert outcome.all_back == pytest.approx(1.0, rel=0.01)
    assert outcome.half_back == pytest.approx(0.5, rel=0.02)
    assert outcome.worst_open == pytest.approx(0.0, abs=1e-6)
    assert outcome.timeouts == 0


def test_others_take_the_sockets_of_a_lost_node():
    """The three remaining nodes share 1,000 sockets."""
    outcome = node_loss(world(jitter=False))
    assert outcome.sockets == pytest.approx(1000)
    assert outcome.all_back == pytest.approx(1 / 3, rel=0.02)
    assert outcome.worst_open == pytest.approx(0.75)


def test_single_node_takes_its_own_back():
    assert node_loss(world(nodes=1, jitter=False)).all_back == pytest.approx(4.0, rel=0.01)


def test_jitter_spreads_a_storm_that_the_nodes_could_take_at_once():
    """A node can open 40 sockets at once, so half of them are back after half of the first delay."""
    outcome = storm(world(users=40))
    assert outcome.half_back == pytest.approx(FIRST_DELAY_SECONDS / 2, abs=0.03)
    assert outcome.all_back == pytest.approx(FIRST_DELAY_SECONDS, abs=0.05)


def test_storm_beyond_the_patience_of_handshakes_times_out_and_ends_nevertheless():
    """A single node needs 60 s for all sockets. A client that has waited for 20 s retries later."""
    outcome = storm(world(users=60_000, nodes=1, jitter=False))
    assert outcome.timeouts > 0
    assert 60.0 <= outcome.all_back < simulate.LONGEST_SECONDS


def test_deploy_takes_a_drain_and_a_start_for_each_step():
    outcome = deploy(world(), at_once=2)
    assert outcome.sockets == pytest.approx(4000)
    assert DRAIN_SECONDS + START_SECONDS + DRAIN_SECONDS - 1.0 < outcome.all_back < 2 * (DRAIN_SECONDS + START_SECONDS)
    # Sockets are closed at an even pace and are back within half a second, so few are closed at any moment.
    assert outcome.worst_open > 0.95


def test_busy_nodes_take_longer():
    idle = storm(world(jitter=False))
    busy = world(jitter=False)
    half = dataclasses.replace(plan(workload(users=4000, topics=()), COSTS, nodes=4), ws_cores=2.0)
    busy = World.of(half, COSTS, workload(users=4000, topics=()), jitter=False)
    assert storm(busy).all_back == pytest.approx(2 * idle.all_back, rel=0.01)


def test_same_seed_gives_the_same_course():
    assert storm(world(seed=7)) == storm(world(seed=7))
    assert storm(world(seed=7)) != storm(world(seed=8))


def slow(**costs):
    found = workload(users=4000, topics=(), present_share=0.5)
    dear = costing(**costs)
    return World.of(plan(found, dear, nodes=4), dear, found, jitter=False)


def test_redis_opens_doors_for_all_nodes_one_after_another():
    """Half of 4,000 handshakes make a user present, at 2 ms of the one Redis: longer than a node's second."""
    found = storm(slow(redis_present_us=2000.0))
    assert found.all_back == pytest.approx(4.0, rel=0.01)
    assert (found.busiest, found.busy) == ("Redis", pytest.approx(1.0, abs=0.01))


def test_nginx_can_be_what_a_storm_waits_for():
    """Two milliseconds a handshake, on a quarter of a core."""
    found = workload(users=4000, topics=(), machine=dataclasses.replace(MACHINE, nginx_cores=0.25))
    dear = costing(nginx_connect_ms=2.0)
    outcome = storm(World.of(plan(found, dear, nodes=4), dear, found, jitter=False))
    assert outcome.all_back == pytest.approx(32.0, rel=0.02)
    assert outcome.busiest == "nginx"


def test_busiest_is_a_node_where_only_nodes_work():
    assert storm(world(jitter=False)).busiest == "a ws node"
