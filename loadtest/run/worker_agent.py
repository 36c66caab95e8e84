"""The users of one process: follows the run controller's commands, and reports state and accounts. Decides nothing.

Commands and reports are plain data, because the run controller may run in another process.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gevent

from loadtest.run import figures, process_accounts
from loadtest.run.causes import SERVER_ERROR
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
        run.step_came = command.get("step_came", run.step_came)
        run.step_since = command.get("step_since", run.step_since)
        for epoch, offset in command.get("ends", {}).items():
            # Events that only other processes know were published before now.
            if offset > run.accounts.publications.end_at(epoch):
                run.accounts.publications.add(epoch, offset, run.clock())
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
        difference = run.clocks.difference
        return {
            "live": len(run.users),
            "joined": joined,
            "sockets": run.sockets,
            "paths": dict(run.paths),
            "in_flight": run.accounts.in_flight,
            "online": len(run.online),
            "failed": run.failed_arrivals,
            "failures": run.figures.failures.lines()[:1] + run.figures.own_faults.lines()[:1],
            "ends": run.accounts.publications.ends,
            "end": run.accounts.end,
            "even": run.accounts.is_even(),
            "process": [platform.node(), os.getpid()],
            "cpu": sample.cpu if sample else 0.0,
            "lag_ms": sample.lag_ms if sample else 0.0,
            "clock": [difference.seconds, difference.error, difference.contradicted],
            "step": self._step(),
            "delivered": {name: counts.total() for name, counts in run.figures.deliveries.items()},
        }

    def _step(self) -> dict[str, Any]:
        """Return the figures of the current step of a search that have objectives, and its faults so far."""
        run = self.run
        if run.step_since is None or run.step_came is None:
            return {}
        since = {figures.LOGIN: run.step_came}
        measured = {name for name, _ in figures.JUDGED.values()}
        failures = run.figures.failures
        faults: Counter[str] = Counter()
        for (kind, second), count in run.accounts.tally(as_it_stands=True, now=run.clock()).seconds.items():
            faults[kind.value] += count if second >= run.step_came else 0
        return {
            "latencies": {
                name: list(run.figures.latencies[name].counts(since=since.get(name, run.step_since)).items())
                for name in measured
            },
            "failed_requests": failures.count(since=run.step_came),
            "server_errors": failures.count(containing=SERVER_ERROR, since=run.step_came),
            "faults": dict(faults),
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
