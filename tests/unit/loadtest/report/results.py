"""A small result of a run, for tests of reports."""

import dataclasses

from loadtest.report.hold_stats import HoldStats
from loadtest.report.result import Result
from loadtest.run import figures
from loadtest.run.figures import Summary
from loadtest.run.generator_health import Health
from loadtest.run.objectives import Check

FIGURES = (figures.DELIVERY, figures.HANDSHAKE, figures.HEARTBEAT)
RESULT = Result(
    title="Load test",
    passed=True,
    problems=[],
    checks=[
        Check("lost", 0, 0.0, True),
        Check("delivery_p95_ms", 250, 90.0, True),
        Check("delivery_p99_ms", 1000, 120.0, True),
        Check("handshake_p95_ms", 900, 40.0, True),
        Check("resume_p95_ms", 1000, None, None),
        Check("generator_cpu_share", 0.85, 0.1, True),
        Check("generator_lag_ms", 100, 5.0, True),
    ],
    counts={"lost": 0},
    faults=[],
    totals={"users": 10, "sockets_at_once": 30, "events_published": 2, "deliveries_due": 20, "deliveries": 20},
    configuration={
        "date": "2026-11-25 10:24 UTC",
        "started_at": 1795602137.8,
        "command": "python -m loadtest --users 10",
        "host": "http://localhost:1",
        "shape": "ramp",
        "users": 10,
        "hold_seconds": 20.0,
        "journeys": {"Editor": 1},
        "pace": 1.0,
        "machine": "2 cores, a processor, Linux 6",
    },
    versions={"tidewire": "0123456789ab", "Python": "3.11.7"},
    generator=Health(0.1, 0.2, 5.0, 9.0, ()),
    latencies={
        name: Summary(count=20, mean=50.0, p50=50.0, p95=90.0, p99=120.0, p99_9=130.0, maximum=140.0)
        for name in FIGURES
    },
    pages=[
        {"method": "GET", "name": "/", "count": 30, "failures": 1, "p50": 12, "p95": 20, "p99": 33},
        {"method": "POST", "name": "/login/", "count": 10, "failures": 0, "p50": 500, "p95": 700, "p99": None},
    ],
    errors=[],
    services={"web": {"cpu_mean": 0.25, "cpu_max": 0.5, "rss_mib": 90.4}},
    bottleneck="no process was at a visible limit",
    phases=[("ramp", 0), ("hold", 2), ("settle", 22), ("ended", 24)],
    search=None,
    incidents=[],
    notes=[],
    unaccounted={},
    growth={},
    series={
        "latency_ms": {figures.DELIVERY: [[second, 20.0, 60.0, 90.0] for second in range(20)]},
        "deliveries": {figures.DELIVERY: [[second, 10] for second in range(20)]},
        "users": [[second, 10, 30] for second in range(20)],
        "cpu": [[second, 0.1, {"web": 0.25}] for second in range(20)],
        "machine": [[second, 0.5] for second in range(20)],
        "rss_mib": [[second, {"web": 90.4}] for second in range(20)],
        "lag_ms": [[second, 5.0] for second in range(20)],
        "curves": {name: [[0.0, 10.0], [50.0, 50.0], [95.0, 90.0], [99.0, 120.0]] for name in FIGURES},
    },
    hold_stats=HoldStats(20, {"GET /": 30}, {"/ws/users/": 10}, {"/ws/users/": 10.0}),
)


def result(**more):
    return dataclasses.replace(RESULT, **more)
