"""A run's live figures for Prometheus. All metrics are declared here, and read from the run at each scrape.

Labels must be closed sets, so the figures of a custom journey are only in the report.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from loadtest.run import figures
from loadtest.run.run_state import PHASES, Run
from testkit.delivery_ledger import Kind


@dataclass(frozen=True)
class Declared:
    """A metric. `help_text` must end with an action, after "Act:". A counter's name omits `_total`."""

    name: str
    kind: str
    help_text: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """The metric's name in a query."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


USERS = Declared("tidewire_load_users", "gauge", "Users that are live. Act: when it falls during the run.")
SOCKETS = Declared(
    "tidewire_load_sockets", "gauge", "Sockets open on the clients' side. Act: when the servers count others."
)
PHASE = Declared("tidewire_load_phase", "gauge", "1 for the phase that the run is in. Act: never.", ("phase",))
RECEIVED = Declared(
    "tidewire_load_received",
    "counter",
    "Messages that reached clients, by event type. Act: when it stops while users are live.",
    ("event_type",),
)
SECONDS = Declared(
    "tidewire_load_seconds",
    "histogram",
    "The run's figures, as clients see them. Act: when delivery's p95 passes the run's objective.",
    ("figure",),
)
DUE = Declared(
    "tidewire_load_deliveries_due", "gauge", "Events due to clients so far, up to the position of each. Act: never."
)
ARRIVED = Declared(
    "tidewire_load_deliveries", "gauge", "Events due and received. Act: when it remains below the number due."
)
ON_THE_WAY = Declared(
    "tidewire_load_deliveries_on_the_way",
    "gauge",
    "Events that some clients have received and others not yet. Act: when it grows: a queue builds up.",
)
FAULTS = Declared("tidewire_load_faults", "gauge", "Faults of deliveries so far, by kind. Act: on any.", ("kind",))
REQUESTS = Declared(
    "tidewire_load_requests", "counter", "Pages requested, by result. Act: when any failed.", ("result",)
)
CPU = Declared(
    "tidewire_load_cpu_share",
    "gauge",
    "Share of one core that this process of the generator uses. Act: over 0.85, the run may measure its own generator.",
)
LAG = Declared(
    "tidewire_load_lag_seconds",
    "gauge",
    "The latest that its loop woke up within the last second. Act: over 0.15, the run may measure its own generator.",
)
DECLARED = (USERS, SOCKETS, PHASE, RECEIVED, SECONDS, DUE, ARRIVED, ON_THE_WAY, FAULTS, REQUESTS, CPU, LAG)

# Around the objectives: 0.25 s for a delivery, 1 s for a request that a user waits for.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
FIGURES = {
    figures.HANDSHAKE: "handshake",
    figures.DELIVERY: "delivery",
    figures.INTENDED: "delivery_from_intended",
    figures.REPLAY: "made_up_for",
    figures.DOCUMENTS: "documents_status",
    figures.COUNT: "users_count",
    figures.RESUME: "resume",
    figures.HEARTBEAT: "heartbeat",
}


class Histogram:
    """The values of a figure so far, in seconds. Each second of the run is added once, when it is over."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0
        self._taken = -1

    def take(self, latencies: figures.Latencies, before: int) -> None:
        for second, counts in latencies.seconds.items():
            if self._taken < second < before:
                for value, times in counts.items():
                    self._counts[bisect.bisect_left(BUCKETS, value / 1000)] += times
                    self._sum += value / 1000 * times
        self._taken = max(self._taken, before - 1)

    def cumulative(self) -> tuple[list[tuple[str, float]], float]:
        """Return the cumulative buckets as Prometheus expects them, and the sum."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets, self._sum


class LiveFigures(Collector):
    def __init__(self, run: Run) -> None:
        self.follow(run)

    def follow(self, run: Run) -> None:
        """Show this run from now on, with counters from zero."""
        self._run = run
        self._histograms = {name: Histogram() for name in FIGURES}

    def collect(self) -> Iterator[Metric]:
        run = self._run
        run.flush()
        tally = run.accounts.tally(as_it_stands=True, now=run.clock())
        sample = run.samples[-1] if run.samples else None
        yield _gauge(USERS, {(): len(run.users)})
        yield _gauge(SOCKETS, {(): run.sockets})
        yield _gauge(PHASE, {(phase,): float(phase == run.phase) for phase in PHASES})
        yield _counter(RECEIVED, {(name,): counts.total() for name, counts in run.figures.deliveries.items()})
        yield self._seconds()
        yield _gauge(DUE, {(): tally.due})
        yield _gauge(ARRIVED, {(): tally.arrived})
        yield _gauge(ON_THE_WAY, {(): tally.on_the_way})
        yield _gauge(FAULTS, {(kind.value,): tally.counts[kind] for kind in Kind})
        yield _counter(REQUESTS, {(result,): count for result, count in run.pages.items()})
        yield _gauge(CPU, {(): sample.cpu if sample else 0.0})
        yield _gauge(LAG, {(): sample.lag_ms / 1000 if sample else 0.0})

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily(SECONDS.name, SECONDS.help_text, labels=SECONDS.labels)
        for name, histogram in self._histograms.items():
            histogram.take(self._run.figures.latencies[name], self._run.second)
            buckets, total = histogram.cumulative()
            family.add_metric([FIGURES[name]], buckets=buckets, sum_value=total)
        return family


def serve(run: Run, address: str) -> LiveFigures:
    """Serve metrics at HOST:PORT until the process ends."""
    registry = CollectorRegistry()
    shown = LiveFigures(run)
    registry.register(shown)
    host, _, port = address.rpartition(":")
    start_http_server(int(port), host, registry)
    return shown


def _gauge(declared: Declared, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(declared.name, declared.help_text, labels=declared.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _counter(declared: Declared, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = CounterMetricFamily(declared.name, declared.help_text, labels=declared.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
