"""The wait of a socket for the first message of its subscription, which must come within the objective's time."""

from __future__ import annotations

import time

import gevent
from gevent import Greenlet

from loadtest.run import figures
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind

# Messages that answer no subscription.
NO_ANSWERS = ("pong", "error", "drain")


class Subscription:
    """`client` is the page of a socket that has a ledger."""

    def __init__(self, run: Run, name: str, client: str) -> None:
        self._run = run
        self._name = name
        self._client = client
        self._since: float | None = None
        self._timeout: Greenlet | None = None

    def begin(self) -> None:
        """Wait from now on: the handshake was accepted."""
        self._since = time.perf_counter()
        self._timeout = gevent.spawn_later(self._run.objectives.answer_seconds, self._note_deaf)

    def end(self) -> None:
        """Record the first message of the subscription, or the end of the socket before it."""
        if self._since is None:
            return
        self._run.measured("WS", figures.SUBSCRIBE, time.perf_counter() - self._since)
        self._since = None
        if self._timeout is not None:
            self._timeout.kill(block=False)
            self._timeout = None

    @property
    def is_waiting(self) -> bool:
        return self._since is not None

    def _note_deaf(self) -> None:
        run = self._run
        self._timeout = None
        detail = f"no answer to its subscription within {run.objectives.answer_seconds:g} s, at {run.second} s"
        run.accounts.note(Kind.DEAF, f"socket {self._name}", self._client, detail, run.clock())
