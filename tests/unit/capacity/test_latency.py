"""Latency of queues, compared with answers that are calculated by hand."""

import math

import pytest

from capacity.latency import wait_p95_ms
from capacity.model import plan
from capacity.workload import Shared
from tests.unit.capacity.test_model import COSTS, MACHINE, costing, dataclasses, workload


def p95(load, costs=COSTS, *, nodes=1):
    return plan(load, costs, nodes=nodes).p95_ms


def shared(*, cores=2, others=0.0, reading_us=0.0):
    return dataclasses.replace(MACHINE, shared=Shared(cores, others, reading_us))


def test_full_node_has_no_latency_at_all():
    assert p95(workload(topics=(("stream", 100.0, 1.0),))) == math.inf


def test_wait_grows_as_the_queue_of_one_server_does():
    """At 50 % half of the requests wait, 10 ms on average, so the 95th percentile of the wait is ln(10) times that."""
    assert p95(workload(topics=(("stream", 50.0, 1.0),))) == pytest.approx(9.5 + math.log(10) * 10.0)


def test_nobody_waits_for_a_server_that_is_seldom_busy():
    assert [wait_p95_ms(10.0, busy) for busy in (0.0, 0.05)] == [0.0, 0.0]


def test_way_at_rest_is_the_least():
    assert p95(workload(topics=(("stream", 0.001, 1.0),)), costing(base_p95_ms=7.0)) == pytest.approx(7.0 + 9.5)


def test_event_counts_as_often_as_it_is_delivered():
    """A hundred events without subscribers do not improve the latency of one event to all sockets."""
    assert p95(workload(topics=(("stream", 0.001, 1.0), ("state", 0.1, 0.0)))) == pytest.approx(9.5)


def test_event_waits_for_the_pages_of_its_web_process():
    """Pages need half a core, and headroom as much again: one process, which spends half its time on pages of 20 ms."""
    load = workload(topics=(), pages=25 * 60 / 1000)
    busy = plan(load, costing(connect_ticket_ms=0.0), nodes=1)
    assert (busy.web_processes, busy.p95_ms) == (1, pytest.approx(math.log(10) * 20.0))


def test_machine_that_all_share_does_all_of_an_events_work():
    """30 us of node, nginx and reader on two cores take one and a half times as long as the node's 10 us alone."""
    load = workload(topics=(("stream", 0.001, 1.0),), machine=shared(reading_us=15.0))
    assert p95(load, costing(nginx_delivery_us=5.0)) == pytest.approx(0.95 * 15.0, rel=1e-3)


def test_machine_that_others_use_stretches_the_way():
    """Other programs use half of two cores, so an event takes a third longer."""
    load = workload(topics=(), machine=shared(others=1.0))
    assert p95(load, costing(base_p95_ms=9.0)) == pytest.approx(12.0)
    assert p95(workload(topics=(), machine=shared(others=2.0))) == math.inf
