"""The capacity model, compared with answers that are calculated by hand."""

import dataclasses
import math

import pytest

from capacity import model
from capacity.costs import COST_NAMES, Costs
from capacity.model import SPARE_FILES, plan
from capacity.workload import Machine, Topic, Wanted, Workload

# Costs that a test does not set are zero.
NOTHING = dict.fromkeys(COST_NAMES, 0.0)
COSTS = Costs(
    **NOTHING
    | {
        "delivery_us": {1000: 10.0, 3000: 20.0},
        "connect_ticket_ms": 1.0,
        "connect_session_ms": 3.0,
        "storm_connect_ms": 1.0,
        "socket_kib": 8.0,
        "node_base_mib": 100.0,
        "stream_event_us": 200.0,
        "hint_us": 20.0,
        "hint_us_per_node": 5.0,
        "login_ms": 500.0,
        "page_ms": 20.0,
        "save_ms": 50.0,
        "packet_overhead_bytes": 60.0,
    }
)
MACHINE = Machine(
    node_memory_mib=10_000.0,
    node_open_files=1_000_000,
    node_mbit_per_second=1e6,
    redis_mbit_per_second=1e6,
    nginx_cores=1e6,
    nginx_mbit_per_second=1e6,
    web_cores=1e6,
)


def workload(*, users=1000, topics=(("stream", 1.0, 1.0),), pages=0.0, machine=MACHINE, p95_ms=1e6, **more):
    found = [Topic(f"t{i}", kind, rate, 140, audience) for i, (kind, rate, audience) in enumerate(topics)]
    made = Workload(
        users=users,
        tabs_per_user=1.0,
        sockets_per_tab=1.0,
        handshakes_per_page=1.0,
        pages_per_user_minute=pages,
        saves_per_user_minute=0.0,
        editing_share=0.0,
        ticket_share=1.0,
        present_share=0.0,
        query_share=0.0,
        logins_per_second=0.0,
        topic=found,
        wanted=Wanted(p95_ms, 0.5),
        machine=machine,
    )
    return dataclasses.replace(made, **more)


def costing(**more):
    return dataclasses.replace(COSTS, **more)


def test_delivery_costs_what_it_does_at_that_many_sockets():
    assert [COSTS.delivery_at(sockets) for sockets in (10, 1000, 2000, 3000, 9000)] == [10.0, 10.0, 15.0, 20.0, 20.0]


def test_cpu_of_a_node_is_its_deliveries_and_its_connects():
    """1,000 deliveries a second of 10 us each; 1,000 pages a minute, each with a handshake of 1 ms."""
    found = plan(workload(pages=1.0), COSTS, nodes=1)
    assert found.ws_cores == pytest.approx(0.010 + 1000 / 60 * 0.001)


def test_handshake_without_a_ticket_costs_more():
    with_ticket, without = (
        plan(workload(pages=60.0, ticket_share=share, topics=()), COSTS, nodes=1).ws_cores for share in (1.0, 0.0)
    )
    assert (with_ticket, without) == (pytest.approx(1.0), pytest.approx(3.0))


def test_node_works_at_rest_and_for_sockets_that_are_idle():
    """Each node has half of the 1,000 sockets, and its own load at rest."""
    found = plan(workload(topics=()), costing(rest_cores=0.02, socket_us_per_second=10.0), nodes=2)
    assert found.ws_cores == pytest.approx(2 * 0.02 + 1000 * 10e-6)


def test_every_node_hears_of_events_and_reads_versions_whoever_is_on_the_topic():
    topics = (("stream", 3.0, 0.0), ("state", 5.0, 0.0))
    found = plan(workload(topics=topics), costing(receive_event_ms=1.0, read_version_ms=2.0), nodes=4)
    assert found.ws_cores == pytest.approx(4 * (3 * 0.001 + 5 * 0.002))


def test_handshake_costs_more_where_it_makes_present_and_where_it_asks_the_database():
    found = plan(
        workload(pages=60.0, topics=(), present_share=0.5, query_share=0.25),
        costing(present_ms=0.4, query_ms=2.0, redis_present_us=100.0),
        nodes=1,
    )
    assert found.ws_cores == pytest.approx(1000 * (1.0 + 0.2 + 0.5) / 1e3)
    assert found.redis_core == pytest.approx(1000 * 0.5 * 100e-6)


def test_who_edits_costs_node_and_redis_by_the_second():
    found = plan(
        workload(topics=(), editing_share=0.1),
        costing(editor_us_per_second=300.0, redis_editor_us_per_second=50.0),
        nodes=3,
    )
    assert (found.ws_cores, found.redis_core) == (pytest.approx(100 * 300e-6), pytest.approx(100 * 50e-6))


def test_redis_works_for_every_node_at_rest_and_for_every_version_that_a_node_reads():
    costs = costing(redis_rest_cores=0.001, redis_cores_per_node=0.002, redis_read_version_us=70.0)
    found = plan(workload(topics=(("state", 10.0, 0.0),)), costs, nodes=4)
    assert found.redis_core == pytest.approx(0.001 + 4 * 0.002 + 10 * (20 + 4 * (5 + 70)) / 1e6)


def test_nginx_carries_pages_handshakes_sockets_and_deliveries():
    costs = costing(nginx_socket_us_per_second=1.0, nginx_connect_ms=0.5, nginx_delivery_us=5.0, nginx_page_ms=0.25)
    found = plan(workload(pages=60.0), costs, nodes=1)
    assert found.nginx_cores == pytest.approx(1000 * 1e-6 + 1000 * 0.5e-3 + 1000 * 5e-6 + 1000 * 0.25e-3)


def test_save_is_a_page_that_costs_more():
    found = plan(workload(topics=(), saves_per_user_minute=6.0), COSTS, nodes=1)
    assert found.web_cores == pytest.approx(100 * 0.050)
    assert found.ws_cores == pytest.approx(100 * 0.001)


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
    """50,000 deliveries of 15 us use three quarters of one node; at 10 us, on two nodes, a quarter of each."""
    topics = (("stream", 25.0, 1.0),)
    found = plan(workload(users=2000, topics=topics), COSTS)
    assert (found.nodes, found.fits) == (2, True)
    assert found.first.resource == "CPU of a ws node"


def test_nodes_are_as_many_as_memory_needs():
    """Half of 300 MiB, less 100 MiB, leaves 50 MiB for 6,400 sockets of 8 KiB."""
    machine = dataclasses.replace(MACHINE, node_memory_mib=300.0)
    for users, nodes in ((6_400, 1), (6_401, 2), (64_000, 10)):
        assert plan(workload(users=users, topics=(), machine=machine), COSTS).nodes == nodes


def test_nodes_are_as_many_as_open_files_need():
    machine = dataclasses.replace(MACHINE, node_open_files=2 * (1000 + SPARE_FILES))
    found = plan(workload(users=3000, topics=(), machine=machine), COSTS)
    assert (found.nodes, found.first.resource) == (3, "open files of a ws node")


def test_nodes_are_as_many_as_latency_needs():
    """A rare event to 10,000 sockets at 20 us takes 190 ms for 95 % of them. 100 ms are enough for half as many."""
    topics = (("stream", 0.01, 1.0),)
    found = plan(workload(users=10_000, topics=topics, p95_ms=100.0), COSTS)
    assert found.first.resource == "latency"
    assert found.nodes == 2
    assert plan(workload(users=10_000, topics=topics), COSTS, nodes=1).p95_ms == pytest.approx(190.0)


def test_redis_is_what_no_node_helps():
    topics = (("stream", 3000.0, 0.0),)
    found = plan(workload(topics=topics), COSTS)
    assert not found.fits
    assert found.first.resource == "Redis, its one core"
    assert found.nodes == 1


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


def test_largest_cause_decides_what_helps():
    """10 ms of deliveries a second and 200 of handshakes: to send fewer events would not help."""
    found = {load.resource: load for load in plan(workload(pages=12.0), COSTS, nodes=1).loads}
    node = found["CPU of a ws node"]
    assert node.causes[0] == ("handshakes", pytest.approx(200 / 210))
    assert node.change.startswith("95% of it is handshakes: load fewer pages")
    assert "events" not in node.change


def test_more_nodes_are_advised_against_sockets_and_not_against_processes_themselves():
    """100 MiB of the process and 8 of its sockets; 100 MiB and 800."""
    few, many = (
        next(load for load in plan(workload(users=users), COSTS, nodes=1).loads if load.resource.startswith("memory"))
        for users in (1024, 102_400)
    )
    assert few.change.startswith("93% of it is processes at rest: give each process more")
    assert "add nodes" not in few.change
    assert many.change.startswith("89% of it is open sockets")
    assert many.change.endswith("; or add nodes")


def test_causes_are_all_of_the_use():
    for load in plan(Workload.read(), Costs.read()).loads:
        assert sum(share for _, share in load.causes) == pytest.approx(1.0)


@pytest.mark.parametrize(("limit", "resource"), [("nginx_cores", "CPU of nginx"), ("web_cores", "CPU of web")])
def test_nginx_and_web_can_end_first(limit, resource):
    """No number of nodes helps against either, so the plan has the nodes that the others need."""
    costs = costing(nginx_delivery_us=5.0)
    rich = workload(users=2000, topics=(("stream", 25.0, 1.0),), pages=6.0)
    poor = dataclasses.replace(rich, machine=dataclasses.replace(MACHINE, **{limit: 0.1}))
    found = plan(poor, costs)
    assert (found.first.resource, found.fits, found.nodes) == (resource, False, plan(rich, costs).nodes)


def test_network_of_nginx_is_that_of_all_nodes():
    found = {load.resource: load.used for load in plan(workload(), COSTS, nodes=4).loads}
    assert found["network of nginx"] == pytest.approx(4 * found["network of a ws node"])
