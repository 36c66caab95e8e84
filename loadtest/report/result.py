"""A run as it is kept: configuration, versions, figures, series, faults and the verdict, all of it plain data."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.report import bottleneck
from loadtest.report.hold_stats import HoldStats
from loadtest.run import figures, sentences
from loadtest.run.clock_difference import SAME
from loadtest.run.figures import Moment, Summary
from loadtest.run.generator_health import Health, judge
from loadtest.run.objectives import Check, check, passed
from loadtest.run.planted_faults import not_found
from loadtest.run.run_state import ENDED, HOLD, SETTLE, Run
from testkit.delivery_ledger import Kind
from testkit.machine_facts import commit, cpu_model, has_changes, package_versions, redis_version
from testkit.percentiles import percentiles

if TYPE_CHECKING:
    # An import of Locust would patch the process, and a reader of results needs none.
    from locust.env import Environment

PACKAGES = ("locust", "gevent", "websocket-client", "Django", "channels", "daphne", "Twisted", "redis", "gunicorn")
# Of report.json, as report.schema.json defines it: greater with each change by which a program could read it wrongly.
REPORT_VERSION = 1
# The command that started this process, if it was not a person's.
COMMAND = "LOADTEST_COMMAND"
# The percentiles that curves are drawn through.
CURVE = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99)


@dataclass(frozen=True)
class Result:
    title: str
    passed: bool
    # Reasons for which the run is no valid measurement.
    problems: Sequence[str]
    checks: Sequence[Check]
    counts: Mapping[str, int]
    faults: Sequence[str]
    totals: Mapping[str, int]
    configuration: Mapping[str, Any]
    versions: Mapping[str, str]
    generator: Health
    # Latencies in milliseconds: deliveries while all users work, and handshakes, counts and resumes of the whole run.
    latencies: Mapping[str, Summary]
    pages: Sequence[Mapping[str, Any]]
    errors: Sequence[str]
    services: Mapping[str, Mapping[str, float]]
    bottleneck: str
    phases: Sequence[tuple[str, int]]
    # Additions of shapes other than a ramp: the steps of a search, operations on nodes, unaccounted users.
    search: Mapping[str, Any] | None
    incidents: Sequence[str]
    # The sum over all deliveries, services that ended, and foreign load, in words.
    notes: Sequence[str]
    unaccounted: Mapping[str, Sequence[str]]
    # Memory growth of each service over the hold, in MiB an hour, which is the subject of a soak.
    growth: Mapping[str, float]
    series: Mapping[str, Any]
    hold_stats: HoldStats
    report_version: int = REPORT_VERSION

    @classmethod
    def of(cls, run: Run, environment: Environment) -> Result:
        since, until = _judged(run)
        objectives = run.objectives
        moments = run.figures.moments
        health = judge(
            [
                each
                for each, moment in zip(run.samples, moments, strict=False)
                if moment.phase == HOLD and since <= moment.second < until
            ]
            or run.samples,
            cpu_share=objectives.generator_cpu_share,
            lag_ms=objectives.generator_lag_ms,
        )
        values = run.values(cpu_share=health.cpu_mean, lag_ms=health.lag_p95_ms, since=since, until=until)
        checks = check(objectives, values, run.fault_counts(until))
        own = [f"generator: its own code failed, {line}" for line in run.figures.own_faults.lines()]
        searched = run.search.problem if run.search is not None and not run.problem else ""
        planted = (
            not_found(
                environment.parsed_options.plant if environment.parsed_options else "", run.accounts.fault_counts()
            )
            if run.phase == ENDED
            else ""
        )
        problems = [
            *filter(None, (run.problem, searched, planted)),
            *own,
            *(f"generator: {why}" for why in health.starved),
        ]
        services = bottleneck.services(run, since)
        return cls(
            title=environment.parsed_options.title if environment.parsed_options else "Load test",
            passed=passed(checks) and not problems,
            problems=problems,
            checks=checks,
            counts={kind.value: run.accounts.fault_counts().get(kind, 0) for kind in Kind},
            faults=[str(fault) for fault in run.accounts.account.faults] if run.accounts.account else [],
            totals=_totals(run),
            configuration=_configuration(run, environment),
            versions=_versions(),
            generator=health,
            latencies=_latencies(run, since, until),
            pages=_pages(environment),
            errors=run.figures.failures.lines(),
            services=services,
            bottleneck=bottleneck.bottleneck(health, services, bottleneck.machine(run, since)),
            phases=run.phases,
            search=_search(run),
            incidents=run.incidents,
            notes=sentences.sentences(run, since, until),
            unaccounted=run.unaccounted,
            growth=bottleneck.growth(run),
            series=_series(run),
            hold_stats=HoldStats.of(environment.stats.entries.values(), moments, run.phases, started=run.started),
        )

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def _versions() -> dict[str, str]:
    redis = redis_version()
    changes = " with changes" if has_changes() else ""
    return {"tidewire": commit() + changes, **package_versions(PACKAGES), **({"Redis": redis} if redis else {})}


def _judged(run: Run) -> tuple[int, float]:
    """Return the seconds in which deliveries are judged: the hold or, of a search, the steps within its limit."""
    if run.search is not None and run.search.kept:
        return run.search.kept[0].since, run.search.kept[-1].until
    since = next((second for phase, second in run.phases if phase == HOLD), 0)
    return since, math.inf


def _search(run: Run) -> dict[str, Any] | None:
    if run.search is None:
        return None
    return {
        "sentence": str(run.search),
        "users": run.search.users,
        "at_least": run.search.at_least,
        "limit_ms": run.objectives.delivery_p95_ms,
        "steps": [dataclasses.asdict(step) for step in run.search.steps],
    }


def _latencies(run: Run, since: int, until: float) -> dict[str, Summary]:
    whole, steady = run.figures.summaries(until=until), run.figures.summaries(since=since, until=until)
    under_load = (*figures.AT_WORK, figures.INTENDED)
    return {name: steady.get(name, summary) if name in under_load else summary for name, summary in whole.items()}


def _totals(run: Run) -> dict[str, int]:
    account = run.accounts.account
    assert account is not None
    return {
        "users": len(run.users),
        "sockets_at_once": max((moment.sockets for moment in run.figures.moments), default=0),
        "handshakes": run.figures.latencies[figures.HANDSHAKE].total,
        "events_published": account.published,
        "saves_confirmed": len(run.accounts.confirmed),
        "conflicts": run.accounts.conflicts,
        "stays_on_the_stream": account.clients,
        "deliveries_due": account.due,
        "deliveries": account.arrived,
        "published_times_audience": account.offered,
        "left_within_grace": account.in_grace,
        "unread": account.unread,
        "messages": sum(by_second.total() for by_second in run.figures.deliveries.values()),
    }


def _configuration(run: Run, environment: Environment) -> dict[str, Any]:
    from locust.runners import MasterRunner  # noqa: PLC0415 - see above

    options = environment.parsed_options
    assert options is not None
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "started_at": run.started,
        "command": os.environ.get(COMMAND) or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "host": environment.host,
        "shape": run.own_shape or options.shape,
        "generators": max(1, options.expect_workers) if isinstance(environment.runner, MasterRunner) else 1,
        "users": options.num_users,
        "hold_seconds": _held_seconds(run, options),
        "spawn_rate": options.spawn_rate,
        "login_rate": options.login_rate,
        "journeys": {each.__name__: each.weight for each in environment.user_classes},
        "pace": options.pace,
        "clock": _clock(run),
        "planted": options.plant or "nothing",
        "machine": f"{os.cpu_count()} cores, {cpu_model()}, {platform.system()} {platform.release()}",
        "load_at_start": run.load_at_start,
    }


def _held_seconds(run: Run, options: argparse.Namespace) -> float:
    """Return how long users worked: as the option says, or as -t or a shape of the locustfile has decided."""
    at = dict(run.phases)
    if (options.run_time or run.own_shape) and HOLD in at:
        return float(at.get(SETTLE, run.second) - at[HOLD])
    return float(options.hold_seconds)


def _pages(environment: Environment) -> list[dict[str, Any]]:
    """Return Locust's own statistics of pages."""
    entries = sorted(environment.stats.entries.values(), key=lambda each: (each.method, each.name))
    return [
        {
            "method": each.method,
            "name": each.name,
            "count": each.num_requests,
            "failures": each.num_failures,
            "p50": each.get_response_time_percentile(0.5),
            "p95": each.get_response_time_percentile(0.95),
            "p99": each.get_response_time_percentile(0.99),
        }
        for each in entries
        if each.method in ("GET", "POST")
    ]


def _clock(run: Run) -> str:
    differences = run.clock_differences()
    if all(each == SAME for each in differences.values()):
        return "one: generator and servers share a host"
    text = "; ".join(f"of {name or 'the generator'}: {each}" for name, each in sorted(differences.items()))
    return text if run.is_delivery_judged else f"{text}. Too uncertain: delivery is not judged"


def _series(run: Run) -> dict[str, Any]:
    """Return the data of the plots."""
    moments: Sequence[Moment] = run.figures.moments
    latencies = {}
    for name in (figures.DELIVERY, figures.INTENDED):
        latencies[name] = [
            [second, *percentiles(counts, (50.0, 95.0, 99.0))]
            for second, counts in sorted(run.figures.latencies[name].seconds.items())
        ]
    return {
        "latency_ms": latencies,
        "deliveries": {name: sorted(counts.items()) for name, counts in sorted(run.figures.deliveries.items())},
        "users": [[each.second, each.users, each.sockets] for each in moments],
        "cpu": [
            [each.second, round(each.generator_cpu, 3), {n: round(v, 3) for n, v in each.services.items()}]
            for each in moments
        ],
        "machine": [[each.second, round(each.machine, 3)] for each in moments],
        "rss_mib": [[each.second, {n: round(v / 2**20, 1) for n, v in each.memory.items()}] for each in moments],
        "lag_ms": [[each.second, round(each.generator_lag_ms, 1)] for each in moments],
        "curves": {
            name: [list(point) for point in zip(CURVE, percentiles(counts, CURVE), strict=True)]
            for name, each in sorted(run.figures.latencies.items())
            if (counts := each.counts())
        },
    }
