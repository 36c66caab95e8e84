"""From measurements to costs, by section and name of costs.toml. Measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testkit.percentiles import percentile

Seconds = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Readings:
    """CPU seconds by service (web, ws, redis, nginx): of an action; at rest and of a socket, for a second.

    `late` has the number of events by delay in milliseconds. Hints are in microseconds.
    """

    nodes: int
    rest: Seconds
    socket: Seconds
    # A save with this many clients to receive its event, and a save with hardly any.
    readers: int
    fan_out: Seconds
    save: Seconds
    late: Mapping[float, int]
    page: Seconds
    log_in: Seconds
    # Handshakes: plain; of a present user; with a database query; of a user that comes and leaves again.
    plain: Seconds
    present: Seconds
    query: Seconds
    arrival: Seconds
    edit: Seconds
    # Redis without nodes, and the addition of each node.
    redis_rest: float
    redis_node: float
    hint_us: float
    hint_us_per_node: float


def costs_of(readings: Readings) -> dict[str, dict[str, float]]:
    nodes, save, plain, page = readings.nodes, readings.save, readings.plain, readings.page
    receive = save["ws"] / nodes
    # A member that comes and leaves makes two versions of its topic.
    version = {name: (readings.arrival[name] - readings.query[name]) / 2 for name in readings.arrival}
    # Each reader has a second socket.
    sockets = readings.readers * 2 // nodes
    return {
        "delivery_us": {str(sockets): (readings.fan_out["ws"] - save["ws"]) / readings.readers * 1e6},
        "node": {
            "rest_cores": readings.rest["ws"] / nodes,
            "socket_us_per_second": readings.socket["ws"] * 1e6,
            "connect_ticket_ms": plain["ws"] * 1e3,
            "present_ms": (readings.present["ws"] - plain["ws"]) * 1e3,
            "query_ms": (readings.query["ws"] - readings.present["ws"]) * 1e3,
            "receive_event_ms": receive * 1e3,
            "read_version_ms": version["ws"] / nodes * 1e3,
            "editor_us_per_second": readings.edit["ws"] * 1e6,
        },
        "redis": {
            "redis_rest_cores": readings.redis_rest,
            "redis_cores_per_node": readings.redis_node,
            "redis_present_us": (readings.present["redis"] - plain["redis"]) * 1e6,
            "redis_page_us": page["redis"] * 1e6,
            "redis_editor_us_per_second": readings.edit["redis"] * 1e6,
            "stream_event_us": (save["redis"] - page["redis"]) * 1e6 - nodes * readings.hint_us_per_node,
            "hint_us": readings.hint_us,
            "hint_us_per_node": readings.hint_us_per_node,
            "redis_read_version_us": (version["redis"] * 1e6 - readings.hint_us) / nodes - readings.hint_us_per_node,
        },
        "nginx": {
            "nginx_socket_us_per_second": readings.socket["nginx"] * 1e6,
            "nginx_connect_ms": plain["nginx"] * 1e3,
            "nginx_delivery_us": (readings.fan_out["nginx"] - save["nginx"]) / readings.readers * 1e6,
            "nginx_page_ms": page["nginx"] * 1e3,
        },
        "web": {
            "page_ms": page["web"] * 1e3,
            "save_ms": save["web"] * 1e3,
            "login_ms": readings.log_in["web"] * 1e3,
        },
        "latency": {"base_p95_ms": percentile(readings.late, 95.0)},
    }
