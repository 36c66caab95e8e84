"""Nodes, CPU, memory, Redis, nginx, network and p95 from a workload and costs, and the resource that ends first.

Only arithmetic. `NOT_MODELLED` has the omissions, which every plan prints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from capacity import latency, terms
from capacity.advice import AT_REST, advice
from capacity.costs import Costs
from capacity.terms import Terms
from capacity.workload import Workload

NOT_MODELLED = (
    "a database server (SQLite's work is in web's); TLS; the work of nginx's host beyond nginx; anything between the"
    " machines' network cards. Bursts share writes and cost less than single events, as which all are counted."
)
# Descriptors that a node needs besides those of its sockets.
SPARE_FILES = 200
MOST_NODES = 10_000


@dataclass(frozen=True, slots=True)
class Factors:
    """Multipliers of the model's figures, because the real ones may be higher or lower (`capacity.ranges`)."""

    ws_cores: float = 1.0
    ws_memory_mib: float = 1.0
    web_cores: float = 1.0
    redis_cores: float = 1.0
    nginx_cores: float = 1.0
    delivery_p95_ms: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """A resource in the plan: its use by cause, of `limit`, which is all of it."""

    resource: str
    terms: Terms
    limit: float
    unit: str
    # The figure of `Factors` that this use can be wrong by; a count of files or bits has no such error.
    figure: str | None = None
    # Whether another number of nodes changes it.
    by_nodes: bool = True

    @property
    def used(self) -> float:
        return sum(self.terms.values())

    @property
    def share(self) -> float:
        return self.used / self.limit

    @property
    def causes(self) -> Sequence[tuple[str, float]]:
        """The causes with their share of the use, the largest first."""
        used = self.used
        shares = [
            (cause, 1.0 if math.isinf(value) else 0.0 if math.isinf(used) else value / used)
            for cause, value in self.terms.items()
            if value
        ]
        return sorted(shares, key=lambda each: -each[1])

    @property
    def change(self) -> str:
        """The largest cause, and the remedy against it."""
        if not (causes := self.causes):
            return "nothing uses it"
        cause, share = causes[0]
        nodes = "; or add nodes" if self.resource.endswith("of a ws node") and cause != AT_REST else ""
        return f"{share:.0%} of it is {cause}: {advice(cause)}{nodes}"


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
    max_utilization: float

    @property
    def first(self) -> Load:
        """The resource that is exhausted first if the workload grows and nothing is added."""
        return max(self.loads, key=lambda load: load.share)

    @property
    def fits(self) -> bool:
        return self.first.share <= self.max_utilization * (1 + 1e-9)

    @property
    def first_by_nodes(self) -> Load:
        """The same among the resources that another number of nodes changes."""
        return max((load for load in self.loads if load.by_nodes), key=lambda load: load.share)

    @property
    def nodes_fit(self) -> bool:
        return self.first_by_nodes.share <= self.max_utilization * (1 + 1e-9)


def plan(workload: Workload, costs: Costs, *, nodes: int | None = None, factors: Factors | None = None) -> Plan:
    """Return the plan with this number of nodes, or with as many as are needed, or else with the closest number."""
    factors = factors or Factors()
    if nodes is not None:
        return _with(workload, costs, nodes, factors)
    # More nodes can help until Redis, which sends every event to each of them, is exhausted first; then they do harm.
    best = _with(workload, costs, least := _least(workload, costs, factors), factors)
    for count in _counts(least):
        candidate = _with(workload, costs, count, factors)
        if candidate.nodes_fit:
            return candidate
        if candidate.first_by_nodes.share < best.first_by_nodes.share:
            best = candidate
        elif candidate.first_by_nodes.resource.startswith("Redis"):
            break
    return best


def _least(workload: Workload, costs: Costs, factors: Factors) -> int:
    """Return the number of nodes below which memory or descriptors cannot be enough."""
    machine, most = workload.machine, workload.wanted.max_utilization
    room_kib = max(1.0, (machine.node_memory_mib * most / factors.ws_memory_mib - costs.node_base_mib) * 1024)
    by_memory = workload.sockets * costs.socket_kib / room_kib
    by_files = workload.sockets / max(1.0, (machine.node_open_files - SPARE_FILES) * most)
    return max(1, math.floor(max(by_memory, by_files)))


def _counts(least: int) -> Sequence[int]:
    """Return every number while they are small, then steps of a hundredth, because large plans may be approximate."""
    counts, count = [], least
    while count <= MOST_NODES:
        counts.append(count)
        count += max(1, count // 100)
    return counts


def _with(workload: Workload, costs: Costs, nodes: int, factors: Factors) -> Plan:
    machine, most = workload.machine, workload.wanted.max_utilization
    sockets = workload.sockets / nodes
    node = terms.of_node(workload, costs, nodes)
    web, nginx = terms.of_web(workload, costs), terms.of_nginx(workload, costs)
    redis = terms.of_redis(workload, costs, nodes)
    node_cores, web_cores = sum(node.values()), sum(web.values())
    # The errors of p95 were measured with the CPU use that the model predicts, so the factors of CPU do not change it.
    p95 = latency.p95_ms(
        workload,
        costs,
        nodes=nodes,
        node_busy=node_cores,
        web_busy=web_cores / _processes(web_cores, workload),
        all_cores=node_cores * nodes + web_cores + sum(nginx.values()) + sum(redis.values()),
    )
    node, web = _times(node, factors.ws_cores), _times(web, factors.web_cores)
    nginx, redis = _times(nginx, factors.nginx_cores), _times(redis, factors.redis_cores)
    p95 = _times(p95, factors.delivery_p95_ms)
    memory = _times(terms.of_memory(workload, costs, nodes), factors.ws_memory_mib)
    all_mbit = terms.of_network(workload, costs, None)
    node_mbit, redis_mbit = _times(all_mbit, 1 / nodes), terms.of_network(workload, costs, nodes)
    files = {"open sockets": sockets, "spare files": float(SPARE_FILES)}
    p95_limit = workload.wanted.delivery_p95_ms / most
    loads = (
        Load("CPU of a ws node", node, 1.0, "cores", "ws_cores"),
        Load("latency", p95, p95_limit, "ms", "delivery_p95_ms"),
        Load("memory of a ws node", memory, machine.node_memory_mib, "MiB", "ws_memory_mib"),
        Load("open files of a ws node", files, machine.node_open_files, "files"),
        Load("network of a ws node", node_mbit, machine.node_mbit_per_second, "Mbit/s"),
        Load("Redis, its one core", redis, 1.0, "cores", "redis_cores"),
        Load("network of Redis", redis_mbit, machine.redis_mbit_per_second, "Mbit/s"),
        Load("CPU of nginx", nginx, machine.nginx_cores, "cores", "nginx_cores", by_nodes=False),
        Load("network of nginx", all_mbit, machine.nginx_mbit_per_second, "Mbit/s", by_nodes=False),
        Load("CPU of web", web, machine.web_cores, "cores", "web_cores", by_nodes=False),
    )
    used = {load.resource: load.used for load in loads}
    return Plan(
        workload.users,
        workload.sockets,
        nodes,
        sockets,
        used["CPU of a ws node"] * nodes,
        used["CPU of web"],
        _processes(used["CPU of web"], workload),
        used["CPU of nginx"],
        used["memory of a ws node"],
        used["latency"],
        used["Redis, its one core"],
        used["network of a ws node"],
        used["network of Redis"],
        loads,
        most,
    )


def _processes(web_cores: float, workload: Workload) -> int:
    if workload.machine.shared:
        return 1
    return max(1, math.ceil(web_cores / workload.wanted.max_utilization))


def _times(terms_: Terms, factor: float) -> Terms:
    return {cause: used * factor for cause, used in terms_.items()}
