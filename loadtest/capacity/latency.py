"""How late an event is: the way at rest, and what it waits for in web, at a node, and on a machine that all share."""

from __future__ import annotations

import math

from loadtest.capacity.workload import Costs, Workload


def p95_ms(
    workload: Workload, costs: Costs, *, nodes: int, node_busy: float, web_busy: float, all_cores: float
) -> float:
    """From the event's own time until 95 % of its clients have it; infinite where something has no time left."""
    node_fan_out, all_fan_out = _fan_out_ms(workload, costs, nodes=nodes)
    slowest, busy, stretch = node_fan_out, node_busy, 1.0
    if shared := workload.machine.shared:
        machine_busy = (all_cores + shared.others_cores) / shared.cores
        if machine_busy >= 1:
            return math.inf
        # All that one event takes of the machine, and what else it does meanwhile.
        slowest, busy = max(node_fan_out, all_fan_out / shared.cores), max(node_busy, machine_busy)
        stretch = 1 / (1 - machine_busy**shared.cores)
    if busy >= 1 or web_busy >= 1:
        return math.inf
    return (
        costs.base_p95_ms * stretch + wait_p95_ms(costs.page_ms, web_busy) + 0.95 * slowest + wait_p95_ms(slowest, busy)
    )


def wait_p95_ms(service_ms: float, busy: float) -> float:
    """In the queue of one server whose jobs come at random and take the same time each (M/D/1).

    The wait's tail is exponential with the mean wait of those who wait, who are as many as the server is busy.
    """
    return max(0.0, math.log(busy / 0.05) if busy else 0.0) * service_ms / (2 * (1 - busy))


def _fan_out_ms(workload: Workload, costs: Costs, *, nodes: int) -> tuple[float, float]:
    """Of a delivery's event: at one node, which writes to one socket after another; and of all processes' work.

    An average over deliveries, so that an event counts as often as it is delivered.
    """
    sockets = workload.sockets
    others = workload.machine.shared.others_delivery_us if workload.machine.shared else 0.0
    delivery_us = costs.delivery_at(sockets / nodes)
    all_us = delivery_us + costs.nginx_delivery_us + others
    deliveries = workload.deliveries_per_second
    if not deliveries:
        return 0.0, 0.0
    audience = sum(t.events_per_second * (t.audience * sockets) ** 2 for t in workload.topic) / deliveries
    return audience / nodes * delivery_us / 1e3, audience * all_us / 1e3
