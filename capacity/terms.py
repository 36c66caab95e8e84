"""The uses of each resource by cause: of nodes, Redis, nginx, web and networks by a workload."""

from __future__ import annotations

from collections.abc import Mapping

from capacity.advice import AT_REST
from capacity.costs import Costs
from capacity.workload import Topic, Workload

# The use of a resource by cause. A cause is a key of `capacity.advice.ADVICE`.
Terms = Mapping[str, float]


def of_node(workload: Workload, costs: Costs, nodes: int) -> Terms:
    """Return the cores of one node. Every node receives every event, even if few of its sockets are on the topic."""
    each = 1 / nodes
    return {
        AT_REST: costs.rest_cores,
        "open sockets": workload.sockets * costs.socket_us_per_second / 1e6 * each,
        "deliveries": workload.deliveries_per_second * costs.delivery_at(workload.sockets / nodes) / 1e6 * each,
        "handshakes": workload.connects_per_second * _connect_ms(workload, costs) / 1e3 * each,
        "events received": _events(workload, costs.receive_event_ms, costs.read_version_ms) / 1e3,
        "editors": workload.users * workload.editing_share * costs.editor_us_per_second / 1e6 * each,
    }


def of_redis(workload: Workload, costs: Costs, nodes: int) -> Terms:
    connects = workload.connects_per_second
    pages = workload.pages_per_second + workload.saves_per_second
    return {
        AT_REST: costs.redis_rest_cores,
        "nodes": nodes * costs.redis_cores_per_node,
        "events published": _events(workload, costs.stream_event_us, costs.hint_us) / 1e6,
        "events at every node": nodes
        * _events(workload, costs.hint_us_per_node, costs.hint_us_per_node + costs.redis_read_version_us)
        / 1e6,
        "handshakes": connects * workload.present_share * costs.redis_present_us / 1e6,
        "pages": pages * costs.redis_page_us / 1e6,
        "editors": workload.users * workload.editing_share * costs.redis_editor_us_per_second / 1e6,
    }


def of_nginx(workload: Workload, costs: Costs) -> Terms:
    pages = workload.pages_per_second + workload.saves_per_second
    return {
        "open sockets": workload.sockets * costs.nginx_socket_us_per_second / 1e6,
        "deliveries": workload.deliveries_per_second * costs.nginx_delivery_us / 1e6,
        "handshakes": workload.connects_per_second * costs.nginx_connect_ms / 1e3,
        "pages": pages * costs.nginx_page_ms / 1e3,
    }


def of_web(workload: Workload, costs: Costs) -> Terms:
    return {
        "pages": workload.pages_per_second * costs.page_ms / 1e3,
        "saves": workload.saves_per_second * costs.save_ms / 1e3,
        "logins": workload.logins_per_second * costs.login_ms / 1e3,
    }


def of_memory(workload: Workload, costs: Costs, nodes: int) -> Terms:
    return {
        AT_REST: costs.node_base_mib,
        "open sockets": workload.sockets / nodes * costs.socket_kib / 1024,
    }


def of_network(workload: Workload, costs: Costs, receivers: float | None) -> Terms:
    """Return Mbit a second by topic: to this many receivers of each event, or to its share of the sockets."""
    return {
        f"topic {topic.name}": topic.events_per_second
        * (topic.audience_share * workload.sockets if receivers is None else receivers)
        * (topic.event_bytes + costs.packet_overhead_bytes)
        * 8e-6
        for topic in workload.topic
    }


def _connect_ms(workload: Workload, costs: Costs) -> float:
    """Return a node's cost of an average handshake of this workload, from its start to the end of the socket."""
    ticket = workload.ticket_share
    return (
        costs.connect_ticket_ms * ticket
        + costs.connect_session_ms * (1 - ticket)
        + costs.present_ms * workload.present_share
        + costs.query_ms * workload.query_share
    )


def _events(workload: Workload, stream: float, state: float) -> float:
    return sum(topic.events_per_second * _by_kind(topic, stream, state) for topic in workload.topic)


def _by_kind(topic: Topic, stream: float, state: float) -> float:
    return stream if topic.kind == "stream" else state
