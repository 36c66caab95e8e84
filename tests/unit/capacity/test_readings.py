"""Costs from measurements, compared with answers that are calculated by hand."""

import tomllib

import pytest

from capacity.costs import COST_NAMES, COSTS
from capacity.readings import Readings, costs_of


def used(**services):
    return {"ws": 0.0, "web": 0.0, "redis": 0.0, "nginx": 0.0, **services}


FOUND = Readings(
    nodes=2,
    rest=used(ws=0.03),
    socket=used(ws=20e-6, nginx=4e-6),
    readers=100,
    fan_out=used(ws=0.003, nginx=0.0016, web=0.03),
    save=used(ws=0.001, nginx=0.0006, web=0.025, redis=0.0005),
    late={4.0: 95, 9.0: 5},
    page=used(web=0.015, redis=0.0001, nginx=0.0004),
    log_in=used(web=0.35),
    plain=used(ws=0.002, nginx=0.0005),
    present=used(ws=0.003, redis=0.0002),
    query=used(ws=0.005, redis=0.0002),
    arrival=used(ws=0.009, redis=0.0006),
    edit=used(ws=70e-6, redis=15e-6),
    redis_rest=0.002,
    redis_node=0.0004,
    hint_us=20.0,
    hint_us_per_node=5.0,
)


def test_each_cost_is_of_one_thing_alone():
    expected = {
        # 2 ms belong to the fan-out, not to the save itself.
        "delivery_us": {"100": 20.0},
        "node": {
            "rest_cores": 0.015,
            "socket_us_per_second": 20.0,
            "connect_ticket_ms": 2.0,
            "present_ms": 1.0,
            "query_ms": 2.0,
            "receive_event_ms": 0.5,
            # 4 ms for two versions on two nodes.
            "read_version_ms": 1.0,
            "editor_us_per_second": 70.0,
        },
        "redis": {
            "redis_rest_cores": 0.002,
            "redis_cores_per_node": 0.0004,
            "redis_present_us": 200.0,
            "redis_page_us": 100.0,
            "redis_editor_us_per_second": 15.0,
            "stream_event_us": 390.0,
            "hint_us": 20.0,
            "hint_us_per_node": 5.0,
            "redis_read_version_us": 85.0,
        },
        "nginx": {
            "nginx_socket_us_per_second": 4.0,
            "nginx_connect_ms": 0.5,
            "nginx_delivery_us": 10.0,
            "nginx_page_ms": 0.4,
        },
        "web": {"page_ms": 15.0, "save_ms": 25.0, "login_ms": 350.0},
        "latency": {"base_p95_ms": 4.0},
    }
    found = costs_of(FOUND)
    assert found == {section: pytest.approx(costs) for section, costs in expected.items()}


def test_what_is_measured_is_in_the_file_under_the_same_names():
    """The remaining costs come from the benchmark."""
    file = tomllib.loads(COSTS.read_text(encoding="utf-8"))
    found = costs_of(FOUND)
    assert all(costs.keys() <= file[section].keys() for section, costs in found.items() if section != "delivery_us")
    measured = {name for costs in found.values() for name in costs} | {"delivery_us"}
    of_the_benchmark = {
        "connect_session_ms",
        "storm_connect_ms",
        "socket_kib",
        "node_base_mib",
        "packet_overhead_bytes",
    }
    assert set(COST_NAMES) - measured == of_the_benchmark
