"""The users of one process: follows the run controller's commands, and reports state and accounts. Decides nothing.

Commands and reports are plain data, because the run controller may run in another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gevent

from loadtest.run import figures, process_accounts
from loadtest.run.run_state import Run

if TYPE_CHECKING:
    from loadtest.journeys.live_user import LiveUser

# The clocks of two processes are aligned only beyond this, because a command also takes a moment to arrive.
DRIFT_SECONDS = 0.5


class WorkerAgent:
    def __init__(self, run: Run, journeys: Callable[[], Iterable[LiveUser]]) -> None:
        self.run = run
        self._journeys = journeys
        self._reported: set[str] = set()
        self._is_reading_end = False
        self._accounts = process_accounts.ProcessAccounts(run)

    def apply(self, command: dict[str, Any]) -> None:
        """Apply a command. Its values replace the present values; all other values stay the same."""
        run = self.run
        if "elapsed" in command and abs(run.clock() - run.started - command["elapsed"]) > DRIFT_SECONDS:
            run.flush()
            run.started = run.clock() - command["elapsed"]
        if command.get("phase", run.phase) != run.phase:
            run.enter(command["phase"])
        if "online" in command:
            run.online_elsewhere = command["online"] - len(run.online)
        run.active_share = command.get("active_share", run.active_share)
        run.step_since = command.get("step_since", run.step_since)
        run.accounts.end = tuple(command["end"]) if command.get("end") else run.accounts.end
        if command.get("read_end") and run.accounts.end is None and not self._is_reading_end:
            self._is_reading_end = True
            gevent.spawn(self._read_end)
        if command.get("network", run.network) != run.network:
            run.network = command["network"]
            for journey in self._journeys():
                journey.network_changed()

    def state(self) -> dict[str, Any]:
        run = self.run
        joined = sorted(run.users - self._reported)
        self._reported.update(joined)
        sample = run.samples[-1] if run.samples else None
        run.flush()
        recent = run.figures.latencies[figures.DELIVERY]
        difference = run.clocks.difference
        return {
            "live": len(run.users),
            "joined": joined,
            "sockets": run.sockets,
            "paths": dict(run.paths),
            "in_flight": run.accounts.in_flight,
            "online": len(run.online),
            "ends": dict(run.accounts.ends),
            "end": run.accounts.end,
            "even": run.accounts.is_even(),
            "cpu": sample.cpu if sample else 0.0,
            "lag_ms": sample.lag_ms if sample else 0.0,
            "clock": [difference.seconds, difference.error, difference.contradicted],
            "step": [] if run.step_since is None else list(recent.counts(since=run.step_since).items()),
            "delivered": {name: counts.total() for name, counts in run.figures.deliveries.items()},
        }

    def increment(self, ends: dict[str, int] | None = None) -> dict[str, Any]:
        """Return all additions since the previous increment; with all epochs' ends, the last. See `ProcessAccounts`."""
        return self._accounts.increment(ends)

    def _read_end(self) -> None:
        """Read the stream's end by the first user that has a page."""
        try:
            for journey in self._journeys():
                self.run.accounts.end = journey.read_stream_end()
                return
        finally:
            self._is_reading_end = False
