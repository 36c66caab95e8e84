"""The delay of an event: its way at rest, and its waits in web, at a node, and on a machine that all share."""

from __future__ import annotations

import math

from capacity.costs import Costs
from capacity.terms import Terms
from capacity.workload import Workload


def p95_ms(
    workload: Workload, costs: Costs, *, nodes: int, node_busy: float, web_busy: float, all_cores: float
) -> Terms:
    """Return by cause the time from the event's own timestamp until 95 % of its clients have it.

    It is infinite under overload.
    """
    node_fan_out, all_fan_out = _fan_out_ms(workload, costs, nodes=nodes)
    slowest, busy, stretch = node_fan_out, node_busy, 1.0
    if shared := workload.machine.shared:
        machine_busy = (all_cores + shared.others_cores) / shared.cores
        # All work of an event on the machine, and the machine's other work in the meantime.
        slowest, busy = max(node_fan_out, all_fan_out / shared.cores), max(node_busy, machine_busy)
        stretch = 1 / (1 - machine_busy**shared.cores) if machine_busy < 1 else math.inf
    return {
        "its way at rest": costs.base_p95_ms * stretch if stretch < math.inf else math.inf,
        "waiting for pages": wait_p95_ms(costs.page_ms, web_busy),
        "one fan-out": 0.95 * slowest,
        "waiting for other events": wait_p95_ms(slowest, busy),
    }


def wait_p95_ms(service_ms: float, busy: float) -> float:
    """Return the wait in the queue of a server with random arrivals and a constant service time (M/D/1).

    The tail of the wait is exponential, with the mean wait of the jobs that must wait. Their share is the server's
    load. The wait is infinite if more comes than the server can do.
    """
    if busy >= 1:
        return math.inf
    return max(0.0, math.log(busy / 0.05) if busy else 0.0) * service_ms / (2 * (1 - busy))


def _fan_out_ms(workload: Workload, costs: Costs, *, nodes: int) -> tuple[float, float]:
    """Return the time of an event's fan-out: at a node, which writes to its sockets in turn, and in all processes.

    The average is over deliveries, so that an event counts as often as it is delivered.
    """
    sockets = workload.sockets
    others = workload.machine.shared.others_delivery_us if workload.machine.shared else 0.0
    delivery_us = costs.delivery_at(sockets / nodes)
    all_us = delivery_us + costs.nginx_delivery_us + others
    deliveries = workload.deliveries_per_second
    if not deliveries:
        return 0.0, 0.0
    audience = sum(t.events_per_second * (t.audience_share * sockets) ** 2 for t in workload.topic) / deliveries
    return audience / nodes * delivery_us / 1e3, audience * all_us / 1e3
