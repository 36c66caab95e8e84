"""Reports a node's state twice a second, and carries out commands that staff have left for the node."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Callable

from tidewire.contrib.operations.rates import Meter, Rates
from tidewire.contrib.operations.reports import DRAIN, NodeReport, Reports, report_store
from tidewire.exceptions import RedisUnavailable
from tidewire.server.current_node import register
from tidewire.server.drain import Drainer
from tidewire.server.node import Feature, Node

logger = logging.getLogger(__name__)

# The drain must begin within a second of the command, so that the operations page shows it.
REPORT_SECONDS = 0.5
# Rates cover the last five seconds, and a trail has one point per five seconds.
WINDOW = 10
# Five minutes, enough to see recent changes.
TRAIL_LENGTH = 60


class Reporter:
    """Reports one run of a node, and starts its drain when staff command it."""

    def __init__(self, node: Node, drainer: Drainer, reports: Reports, *, start_drain: Callable[[], None]) -> None:
        self._node = node
        self._drainer = drainer
        self._reports = reports
        self._start_drain = start_drain
        self._run = uuid.uuid4().hex[:8]
        self._started = time.monotonic()
        self._meter = Meter(readings=WINDOW)
        self._sent = 0
        self._previous_connections = 0
        self._drain_from: int | None = None
        self._trail: deque[tuple[int, float, float]] = deque(maxlen=TRAIL_LENGTH)

    async def run(self) -> None:
        """Report for as long as the node runs; while Redis is unavailable, retry."""
        while True:
            try:
                await self.report()
            except RedisUnavailable as error:
                # The hub logs the outage too, with a message that can be acted upon.
                logger.debug("the report waits for Redis: %s", error)
            await asyncio.sleep(REPORT_SECONDS)

    async def report(self) -> None:
        """Send one report, and carry out the command in the reply."""
        command = await self._reports.put(self._next_report())
        if command == DRAIN and self._drainer.ready:
            logger.warning("draining on the command of staff")
            self._start_drain()

    def _next_report(self) -> NodeReport:
        rates = self._meter.read()
        connections = len(self._node.connections)
        if self._drainer.draining and self._drain_from is None:
            # Some sockets may be closed already, so the number of the previous report counts.
            self._drain_from = max(self._previous_connections, connections)
        self._previous_connections = connections
        if self._sent % WINDOW == 0:
            latency_ms = round((rates.delivery_p99_seconds or 0.0) * 1000, 1)
            self._trail.append((connections, round(rates.deliveries, 1), latency_ms))
        self._sent += 1
        return self._report(rates, connections)

    def _report(self, rates: Rates, connections: int) -> NodeReport:
        node = self._node
        trails = tuple(zip(*self._trail, strict=True))
        return NodeReport(
            node=node.name,
            run=self._run,
            state=self._drainer.state,
            up_seconds=int(time.monotonic() - self._started),
            connections=connections,
            users=node.users,
            drain_from=self._drain_from,
            drain_seconds=node.settings.DRAIN_SECONDS,
            stale=node.hub.stale,
            backlog_bytes=node.slow_consumers.backlog_bytes,
            connects_per_second=round(rates.connects, 1),
            closes_per_second=round(rates.closes, 1),
            deliveries_per_second=round(rates.deliveries, 1),
            delivery_p99_ms=_milliseconds(rates.delivery_p99_seconds),
            lag_p99_ms=_milliseconds(rates.lag_p99_seconds),
            connections_trail=trails[0],
            deliveries_trail=trails[1],
            latency_trail=trails[2],
        )


@register
class ReportFeature(Feature):
    """Reports a node while a server serves it, and once more after its drain."""

    _reporter: Reporter | None = None

    def on_serve(self, drainer: Drainer, start_drain: Callable[[], None]) -> None:
        self._reporter = Reporter(self.node, drainer, report_store(), start_drain=start_drain)
        self.node.start_task("reporting", self._reporter.run)

    async def on_drained(self) -> None:
        if self._reporter is not None:
            with contextlib.suppress(RedisUnavailable):
                await self._reporter.report()


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
