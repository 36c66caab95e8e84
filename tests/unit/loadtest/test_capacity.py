"""The capacity model on workloads whose answer is known by hand."""

import dataclasses
import math

import pytest

from loadtest.capacity import model
from loadtest.capacity.calibrate import line
from loadtest.capacity.model import SPARE_FILES, plan
from loadtest.capacity.workload import WORKLOAD, Costs, Machine, Topic, Wanted, Workload, WorkloadError

COSTS = Costs(
    delivery_us={1000: 10.0, 3000: 20.0},
    connect_ticket_ms=1.0,
    connect_session_ms=3.0,
    socket_kib=8.0,
    base_mib=100.0,
    stream_event_us=200.0,
    publish_us=20.0,
    node_us=5.0,
    login_ms=500.0,
    page_ms=20.0,
    overhead_bytes=60.0,
)
MACHINE = Machine(node_memory_mib=10_000.0, node_open_files=1_000_000, node_mbit=1e6, redis_mbit=1e6)


def workload(*, users=1000, topics=(("stream", 1.0, 1.0),), pages=0.0, machine=MACHINE, p95_ms=1e6, **more):
    found = [Topic(f"t{i}", kind, rate, 140, audience) for i, (kind, rate, audience) in enumerate(topics)]
    made = Workload(users, 1.0, 1.0, pages, 1.0, 0.0, found, Wanted(p95_ms, 0.5), machine)
    return dataclasses.replace(made, **more)


def test_delivery_costs_what_it_does_at_that_many_sockets():
    assert [COSTS.delivery_at(sockets) for sockets in (10, 1000, 2000, 3000, 9000)] == [10.0, 10.0, 15.0, 20.0, 20.0]


def test_cpu_of_a_node_is_its_deliveries_and_its_connects():
    """1,000 deliveries a second of 10 us, and 1,000 pages a minute with a socket each of 1 ms."""
    found = plan(workload(pages=1.0), COSTS, nodes=1)
    assert found.ws_cores == pytest.approx(0.010 + 1000 / 60 * 0.001)


def test_handshake_without_a_ticket_costs_more():
    with_ticket, without = (
        plan(workload(pages=60.0, ticket_share=share, topics=()), COSTS, nodes=1).ws_cores for share in (1.0, 0.0)
    )
    assert (with_ticket, without) == (pytest.approx(1.0), pytest.approx(3.0))


def test_redis_pays_each_event_once_and_every_node_again():
    topics = (("stream", 100.0, 0.0), ("state", 10.0, 0.0))
    assert plan(workload(topics=topics), COSTS, nodes=4).redis_core == pytest.approx(
        100 * (200 + 4 * 5) / 1e6 + 10 * (20 + 4 * 5) / 1e6
    )


def test_network_counts_the_overhead_of_each_packet():
    found = plan(workload(), COSTS, nodes=2)
    assert found.node_mbit == pytest.approx(500 * 200 * 8e-6)
    assert found.redis_mbit == pytest.approx(2 * 200 * 8e-6)


def test_web_is_pages_and_passwords():
    found = plan(workload(pages=60.0, logins_per_second=2.0), COSTS, nodes=1)
    assert (found.web_cores, found.web_processes) == (pytest.approx(21.0), 42)


def test_nodes_are_as_many_as_cpu_needs():
    """50,000 deliveries of 15 us are three quarters of one node; of 10 us, on two, a quarter of each."""
    topics = (("stream", 25.0, 1.0),)
    found = plan(workload(users=2000, topics=topics), COSTS)
    assert (found.nodes, found.fits) == (2, True)
    assert found.first.resource == "CPU of a ws node"


def test_nodes_are_as_many_as_memory_needs():
    """Half of 300 MiB less 100 are 50 MiB: 6,400 sockets of 8 KiB."""
    machine = dataclasses.replace(MACHINE, node_memory_mib=300.0)
    for users, nodes in ((6_400, 1), (6_401, 2), (64_000, 10)):
        assert plan(workload(users=users, topics=(), machine=machine), COSTS).nodes == nodes


def test_nodes_are_as_many_as_open_files_need():
    machine = dataclasses.replace(MACHINE, node_open_files=2 * (1000 + SPARE_FILES))
    found = plan(workload(users=3000, topics=(), machine=machine), COSTS)
    assert (found.nodes, found.first.resource) == (3, "open files of a ws node")


def test_nodes_are_as_many_as_latency_needs():
    """One event a while to 10,000 sockets of 20 us each takes 190 ms to 95 % of them; 100 ms allow half as many."""
    topics = (("stream", 0.01, 1.0),)
    found = plan(workload(users=10_000, topics=topics, p95_ms=100.0), COSTS)
    assert found.first.resource == "latency of a ws node"
    assert found.nodes == 2
    assert plan(workload(users=10_000, topics=topics), COSTS, nodes=1).p95_ms == pytest.approx(190.0)


def test_redis_is_what_no_node_helps():
    topics = (("stream", 3000.0, 0.0),)
    found = plan(workload(topics=topics), COSTS)
    assert not found.fits
    assert found.first.resource == "Redis, its one core"
    assert found.nodes == 1


def test_full_node_has_no_latency_at_all():
    topics = (("stream", 100.0, 1.0),)
    assert plan(workload(users=1000, topics=topics), COSTS, nodes=1).p95_ms == math.inf


def test_wait_grows_as_the_queue_of_one_server_does():
    """Half busy, single service time of 10 ms: those who wait, wait 10 ms on average, and ln(10) times that at p95."""
    found = plan(workload(users=1000, topics=(("stream", 50.0, 1.0),)), COSTS, nodes=1)
    assert found.p95_ms == pytest.approx(9.5 + math.log(10) * 10.0)


@pytest.mark.parametrize(("grows", "events"), [(False, 1.0), (True, 10.0)])
def test_growth_multiplies_people_and_the_events_that_they_cause(grows, events):
    topics = [Topic("t", "stream", 1.0, 140, 1.0, grows)]
    grown = workload(users=1000, topic=topics, logins_per_second=2.0).grown_to(10_000)
    assert (grown.sockets, grown.logins_per_second, grown.events_per_second) == (10_000, 20.0, events)


def test_shipped_files_plan_a_million_users():
    found = plan(Workload.read().grown_to(1_000_000), Costs.read())
    assert found.users == 1_000_000
    assert found.nodes <= model.MOST_NODES
    assert all(math.isfinite(load.used) for load in found.loads)


def test_best_straight_line_is_found():
    assert line([(1, 12.0), (2, 14.0), (4, 18.0)]) == (pytest.approx(2.0), pytest.approx(10.0))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tabs = 1.3", "tbas = 1.3", "tbas"),
        ('kind = "stream"', 'kind = "steam"', "steam"),
        ("audience = 0.16", "audience = 16", "16 is no share"),
        ("users = 100_000", "users = = 1", "workload.toml"),
    ],
)
def test_wrong_workload_names_what_is_wrong(tmp_path, old, new, says):
    path = tmp_path / "workload.toml"
    path.write_text(WORKLOAD.read_text().replace(old, new))
    with pytest.raises(WorkloadError, match=says):
        Workload.read(path)
