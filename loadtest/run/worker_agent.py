"""The users of one process: follows the course's orders, and reports its state and its accounts. Decides nothing.

Orders and reports are plain data, because the course may run in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gevent

from loadtest.run import figures, process_accounts
from loadtest.run.run_state import Run

if TYPE_CHECKING:
    from loadtest.journeys.dashboard_user import DashboardUser

# The clocks of two processes are aligned only beyond this, because an order also takes a moment to arrive.
DRIFT_SECONDS = 0.5


class Follower:
    def __init__(self, run: Run, journeys: Callable[[], Iterable[DashboardUser]]) -> None:
        self.run = run
        self._journeys = journeys
        self._told: set[str] = set()
        self._reads = False
        self._books = process_accounts.Books(run)

    def obey(self, order: dict[str, Any]) -> None:
        """Apply an order. Its entries replace the present values; all other values stay the same."""
        run = self.run
        if "elapsed" in order and abs(run.clock() - run.started - order["elapsed"]) > DRIFT_SECONDS:
            run.flush()
            run.started = run.clock() - order["elapsed"]
        if order.get("phase", run.phase) != run.phase:
            run.enter(order["phase"])
        if "online" in order:
            run.online_elsewhere = order["online"] - len(run.online)
        run.awake_share = order.get("awake_share", run.awake_share)
        run.step_since = order.get("step_since", run.step_since)
        run.end = tuple(order["end"]) if order.get("end") else run.end
        if order.get("read_end") and run.end is None and not self._reads:
            self._reads = True
            gevent.spawn(self._read_end)
        if order.get("network", run.network) != run.network:
            run.network = order["network"]
            for journey in self._journeys():
                journey.network_changed()

    def state(self) -> dict[str, Any]:
        run = self.run
        joined = sorted(run.users - self._told)
        self._told.update(joined)
        sample = run.samples[-1] if run.samples else None
        run.flush()
        recent = run.figures.latencies[figures.DELIVERY]
        difference = run.clocks.difference
        return {
            "live": len(run.users),
            "joined": joined,
            "sockets": run.sockets,
            "paths": dict(run.paths),
            "in_flight": run.in_flight,
            "online": len(run.online),
            "ends": dict(run.ends),
            "end": run.end,
            "even": run.is_even(),
            "cpu": sample.cpu if sample else 0.0,
            "lag_ms": sample.lag_ms if sample else 0.0,
            "clock": [difference.seconds, difference.error, difference.contradicted],
            "step": [] if run.step_since is None else list(recent.counts(since=run.step_since).items()),
            "delivered": {name: found.total() for name, found in run.figures.deliveries.items()},
        }

    def page(self, ends: dict[str, int] | None = None) -> dict[str, Any]:
        """Return all additions since the previous page; with all epochs' ends, the last. See `Books`."""
        return self._books.page(ends)

    def _read_end(self) -> None:
        """Read the stream's end by the first user that has a page."""
        try:
            for journey in self._journeys():
                self.run.end = journey.read_stream_end()
                return
        finally:
            self._reads = False
