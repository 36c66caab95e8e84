"""From a workload and costs to nodes, CPU, memory, Redis, network and p95, and which of them ends first.

Arithmetic alone. What it leaves out stands in `NOT_MODELLED`, which every plan prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.capacity.workload import Costs, Workload

NOT_MODELLED = (
    "nginx; the clients' pings; what presence costs Redis; the database; TLS; anything between the machines' network"
    " cards. Bursts share writes and cost less than single events, as which all are counted."
)
# A socket takes a descriptor in its node.
SPARE_FILES = 200
MOST_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """One resource in the plan: `used` of `limit`, which is what it may have before headroom."""

    resource: str
    used: float
    limit: float
    unit: str
    # What to do when it is the one that ends first.
    change: str

    @property
    def share(self) -> float:
        return self.used / self.limit


@dataclass(frozen=True, slots=True)
class Plan:
    """What the workload takes. `p95_ms` is from when a node hears of an event until 95 % of its sockets have it."""

    users: int
    sockets: float
    nodes: int
    sockets_per_node: float
    # Cores of all nodes and of all web processes together.
    ws_cores: float
    web_cores: float
    web_processes: int
    node_memory_mib: float
    p95_ms: float
    redis_core: float
    node_mbit: float
    redis_mbit: float
    loads: Sequence[Load]
    headroom: float

    @property
    def first(self) -> Load:
        """The resource that ends first when the workload grows and nothing is added."""
        return max(self.loads, key=lambda load: load.share)

    @property
    def fits(self) -> bool:
        return self.first.share <= self.headroom * (1 + 1e-9)


def plan(workload: Workload, costs: Costs, *, nodes: int | None = None) -> Plan:
    """With so many nodes, or as many as it takes. Where no number of nodes is enough, the one that is closest."""
    if nodes is not None:
        return _with(workload, costs, nodes)
    # Nodes help until Redis, which tells each of them of every event, is what ends first; then more would harm.
    best = _with(workload, costs, least := _least(workload, costs))
    for count in _counts(least):
        found = _with(workload, costs, count)
        if found.fits:
            return found
        if found.first.share < best.first.share:
            best = found
        elif found.first.resource.startswith("Redis"):
            break
    return best


def _least(workload: Workload, costs: Costs) -> int:
    """Below this memory or descriptors alone are too few."""
    machine, headroom = workload.machine, workload.wanted.headroom
    room_kib = max(1.0, (machine.node_memory_mib * headroom - costs.base_mib) * 1024)
    by_memory = workload.sockets * costs.socket_kib / room_kib
    by_files = workload.sockets / max(1.0, (machine.node_open_files - SPARE_FILES) * headroom)
    return max(1, math.floor(max(by_memory, by_files)))


def _counts(least: int) -> Sequence[int]:
    """Every number while they are few, then steps of a hundredth: nobody counts a thousand nodes one by one."""
    counts, count = [], least
    while count <= MOST_NODES:
        counts.append(count)
        count += max(1, count // 100)
    return counts


def _with(workload: Workload, costs: Costs, nodes: int) -> Plan:
    machine = workload.machine
    sockets = workload.sockets / nodes
    delivery_us = costs.delivery_at(sockets)
    ticket = workload.ticket_share
    connect_ms = costs.connect_ticket_ms * ticket + costs.connect_session_ms * (1 - ticket)
    fanout_core = workload.deliveries_per_second * delivery_us / 1e6 / nodes
    node_core = fanout_core + workload.connects_per_second * connect_ms / 1e3 / nodes
    web_cores = (workload.pages_per_second * costs.page_ms + workload.logins_per_second * costs.login_ms) / 1e3
    headroom = workload.wanted.headroom
    memory = costs.base_mib + sockets * costs.socket_kib / 1024
    redis_core = (
        sum(
            topic.events_per_second
            * ((costs.stream_event_us if topic.kind == "stream" else costs.publish_us) + nodes * costs.node_us)
            for topic in workload.topic
        )
        / 1e6
    )
    node_mbit = sum(
        topic.events_per_second * topic.audience * sockets * (topic.bytes + costs.overhead_bytes) * 8e-6
        for topic in workload.topic
    )
    redis_mbit = sum(
        topic.events_per_second * nodes * (topic.bytes + costs.overhead_bytes) * 8e-6 for topic in workload.topic
    )
    p95 = p95_ms(workload, sockets=sockets, delivery_us=delivery_us, busy=node_core)
    loads = (
        Load("CPU of a ws node", node_core, 1.0, "cores", "add nodes; send fewer or smaller audiences"),
        Load("latency of a ws node", p95, workload.wanted.p95_ms / headroom, "ms", "add nodes: fewer sockets on each"),
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
            "fewer and larger nodes, fewer events; then a Redis for each group of topics",
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
        math.ceil(web_cores / headroom),
        memory,
        p95,
        redis_core,
        node_mbit,
        redis_mbit,
        loads,
        headroom,
    )


def p95_ms(workload: Workload, *, sockets: float, delivery_us: float, busy: float) -> float:
    """A node takes an event at a time and writes it to one socket after the other: a queue with one server.

    Fan-outs come at random and each takes as long as its audience is large (M/D/1). The wait's tail is exponential with
    the mean wait of those who wait; to it comes the event's own fan-out, of which 95 % are done by 0.95.
    """
    if busy >= 1:
        return math.inf
    events = workload.events_per_second
    deliveries = sum(topic.events_per_second * topic.audience for topic in workload.topic) * sockets
    service_ms = deliveries * delivery_us / 1e3 / events if events else 0.0
    waiting_mean_ms = service_ms / (2 * (1 - busy))
    return 0.95 * service_ms + max(0.0, math.log(busy / 0.05) if busy else 0.0) * waiting_mean_ms
