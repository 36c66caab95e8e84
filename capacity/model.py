"""Nodes, CPU, memory, Redis, network and p95 from a workload and costs, and the resource that is exhausted first.

Only arithmetic. `NOT_MODELLED` has the omissions, which every plan prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from capacity import latency
from capacity.workload import Costs, Topic, Workload

NOT_MODELLED = (
    "a database server (SQLite's work is in web's); TLS; the work of nginx's host beyond nginx; anything between the"
    " machines' network cards. Bursts share writes and cost less than single events, as which all are counted."
)
# Descriptors that a node needs besides those of its sockets.
SPARE_FILES = 200
MOST_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """A resource in the plan: `used` of `limit`, which is its capacity before headroom."""

    resource: str
    used: float
    limit: float
    unit: str
    # The remedy if this resource is exhausted first.
    change: str

    @property
    def share(self) -> float:
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class Plan:
    """The needs of a workload. `p95_ms` is the time from an event's own timestamp until 95 % of its clients have it."""

    users: int
    sockets: float
    nodes: int
    sockets_per_node: float
    # Cores of all nodes, and of all web processes.
    ws_cores: float
    web_cores: float
    web_processes: int
    nginx_cores: float
    node_memory_mib: float
    p95_ms: float
    redis_core: float
    node_mbit: float
    redis_mbit: float
    loads: Sequence[Load]
    headroom: float

    @property
    def first(self) -> Load:
        """The resource that is exhausted first if the workload grows and nothing is added."""
        return max(self.loads, key=lambda load: load.share)

    @property
    def fits(self) -> bool:
        return self.first.share <= self.headroom * (1 + 1e-9)


def plan(workload: Workload, costs: Costs, *, nodes: int | None = None) -> Plan:
    """Return the plan with this number of nodes, or with as many as are needed, or else with the closest number."""
    if nodes is not None:
        return _with(workload, costs, nodes)
    # More nodes can help until Redis, which sends every event to each of them, is exhausted first; then they do harm.
    best = _with(workload, costs, least := _least(workload, costs))
    for count in _counts(least):
        candidate = _with(workload, costs, count)
        if candidate.fits:
            return candidate
        if candidate.first.share < best.first.share:
            best = candidate
        elif candidate.first.resource.startswith("Redis"):
            break
    return best


def _least(workload: Workload, costs: Costs) -> int:
    """Return the number of nodes below which memory or descriptors cannot be enough."""
    machine, headroom = workload.machine, workload.wanted.headroom
    room_kib = max(1.0, (machine.node_memory_mib * headroom - costs.base_mib) * 1024)
    by_memory = workload.sockets * costs.socket_kib / room_kib
    by_files = workload.sockets / max(1.0, (machine.node_open_files - SPARE_FILES) * headroom)
    return max(1, math.floor(max(by_memory, by_files)))


def _counts(least: int) -> Sequence[int]:
    """Return every number while they are small, then steps of a hundredth, because large plans may be approximate."""
    counts, count = [], least
    while count <= MOST_NODES:
        counts.append(count)
        count += max(1, count // 100)
    return counts


def _with(workload: Workload, costs: Costs, nodes: int) -> Plan:
    machine, headroom = workload.machine, workload.wanted.headroom
    sockets = workload.sockets / nodes
    node_core = _node_core(workload, costs, nodes)
    web_cores = (
        workload.pages_per_second * costs.page_ms
        + workload.saves_per_second * costs.save_ms
        + workload.logins_per_second * costs.login_ms
    ) / 1e3
    web_processes = 1 if machine.shared else max(1, math.ceil(web_cores / headroom))
    nginx_cores = _nginx_cores(workload, costs)
    redis_core = _redis_core(workload, costs, nodes)
    memory = costs.base_mib + sockets * costs.socket_kib / 1024
    node_mbit = sum(
        topic.events_per_second * topic.audience * sockets * (topic.bytes + costs.overhead_bytes) * 8e-6
        for topic in workload.topic
    )
    redis_mbit = sum(
        topic.events_per_second * nodes * (topic.bytes + costs.overhead_bytes) * 8e-6 for topic in workload.topic
    )
    all_cores = node_core * nodes + web_cores + nginx_cores + redis_core
    p95 = latency.p95_ms(
        workload, costs, nodes=nodes, node_busy=node_core, web_busy=web_cores / web_processes, all_cores=all_cores
    )
    loads = (
        Load("CPU of a ws node", node_core, 1.0, "cores", "add nodes; send fewer or smaller audiences"),
        Load("latency", p95, workload.wanted.p95_ms / headroom, "ms", "add nodes: fewer sockets on each"),
        Load("memory of a ws node", memory, machine.node_memory_mib, "MiB", "add nodes, or memory to each"),
        Load(
            "open files of a ws node", sockets + SPARE_FILES, machine.node_open_files, "", "raise the limit, add nodes"
        ),
        Load("network of a ws node", node_mbit, machine.node_mbit, "Mbit/s", "add nodes; smaller events"),
        Load(
            "Redis, its one core",
            redis_core,
            1.0,
            "cores",
            "fewer handshakes that make users present, fewer and larger nodes; then a Redis for each group of topics",
        ),
        Load("network of Redis", redis_mbit, machine.redis_mbit, "Mbit/s", "smaller events, fewer nodes"),
    )
    return Plan(
        workload.users,
        workload.sockets,
        nodes,
        sockets,
        node_core * nodes,
        web_cores,
        web_processes,
        nginx_cores,
        memory,
        p95,
        redis_core,
        node_mbit,
        redis_mbit,
        loads,
        headroom,
    )


def _connect_ms(workload: Workload, costs: Costs) -> float:
    """Return a node's cost of an average handshake of this workload, from its start to the end of the socket."""
    ticket = workload.ticket_share
    return (
        costs.connect_ticket_ms * ticket
        + costs.connect_session_ms * (1 - ticket)
        + costs.present_ms * workload.present_share
        + costs.query_ms * workload.query_share
    )


def _node_core(workload: Workload, costs: Costs, nodes: int) -> float:
    delivery_us = costs.delivery_at(workload.sockets / nodes)
    shared = (
        workload.sockets * costs.socket_us / 1e6
        + workload.deliveries_per_second * delivery_us / 1e6
        + workload.connects_per_second * _connect_ms(workload, costs) / 1e3
        + workload.users * workload.editing_share * costs.edit_us / 1e6
    )
    # Every node receives every event, even if few of its sockets are on the topic.
    receiving_ms = sum(
        topic.events_per_second * _by_kind(topic, costs.receive_ms, costs.read_ms) for topic in workload.topic
    )
    return costs.rest_core + shared / nodes + receiving_ms / 1e3


def _redis_core(workload: Workload, costs: Costs, nodes: int) -> float:
    events_us = sum(
        topic.events_per_second
        * (
            _by_kind(topic, costs.stream_event_us, costs.publish_us)
            + nodes * (costs.node_us + _by_kind(topic, 0.0, costs.redis_read_us))
        )
        for topic in workload.topic
    )
    us = (
        events_us
        + workload.connects_per_second * workload.present_share * costs.redis_present_us
        + (workload.pages_per_second + workload.saves_per_second) * costs.redis_page_us
        + workload.users * workload.editing_share * costs.redis_edit_us
    )
    return costs.redis_rest_core + nodes * costs.redis_node_core + us / 1e6


def _nginx_cores(workload: Workload, costs: Costs) -> float:
    return (
        workload.sockets * costs.nginx_socket_us / 1e6
        + workload.connects_per_second * costs.nginx_connect_ms / 1e3
        + workload.deliveries_per_second * costs.nginx_delivery_us / 1e6
        + (workload.pages_per_second + workload.saves_per_second) * costs.nginx_page_ms / 1e3
    )


def _by_kind(topic: Topic, stream: float, state: float) -> float:
    return stream if topic.kind == "stream" else state
