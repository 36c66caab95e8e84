"""Notifies all processes of a run of the numbered messages that their clients have sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from loadtest.run.rooms import GRACE_SECONDS, Series
from loadtest.run.run_state import Run

if TYPE_CHECKING:
    # Importing Locust patches the standard library, which must not happen to the tests of this arithmetic.
    from locust.runners import Runner, WorkerRunner

SENT, SENT_ELSEWHERE = "tidewire-sent", "tidewire-sent-elsewhere"
# Before the accounts are closed, users wait ten times as long for due messages.
INTERVAL_SECONDS = 1.0


class MessageExchange:
    """Workers send their messages to the master, which sends them to all workers."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._run: Run | None = None
        runner.register_message(SENT, self._on_sent)
        runner.register_message(SENT_ELSEWHERE, self._on_sent_elsewhere)
        # Workers alone have a connection.
        if hasattr(runner, "connected"):
            gevent.spawn(self._send, runner)

    def begin(self, run: Run) -> None:
        self._run = run

    def _send(self, worker: WorkerRunner) -> None:
        while True:
            gevent.sleep(INTERVAL_SECONDS)
            if self._run is None or not worker.connected:
                continue
            # A message may be withdrawn for so long.
            ready = self._run.accounts.rooms.unshared(self._run.clock() - GRACE_SECONDS)
            if ready:
                self._runner.send_message(SENT, [[*series, number, at] for series, number, at in ready])

    def _on_sent(self, msg: Any, **_more: Any) -> None:
        self._runner.send_message(SENT_ELSEWHERE, msg.data)

    def _on_sent_elsewhere(self, msg: Any, **_more: Any) -> None:
        if self._run is not None:
            for room, sender, number, at in msg.data:
                self._run.accounts.rooms.sent(Series(room, sender), number, at, shared=True)
