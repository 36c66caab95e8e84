"""The processes that have the users of a run: this one, or Locust's workers. Passes orders down and states up."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from loadtest.run import process_accounts
from loadtest.run.clock_difference import Difference
from loadtest.run.run_state import ENDED, Run
from loadtest.run.worker_agent import Follower
from testkit.reconciliation import Tally

if TYPE_CHECKING:
    # Importing Locust patches the standard library, which must not happen to the tests of this arithmetic.
    from locust.runners import MasterRunner, WorkerRunner

logger = logging.getLogger(__name__)

ORDER, STATE, CLOSE, BOOKS = "tidewire-order", "tidewire-state", "tidewire-close", "tidewire-books"
STATE_SECONDS = 0.5
# A process that was silent for this long is lost; a starved one is late by less. Locust itself waits longer: see
# locustfile.py.
SILENCE_SECONDS = 15.0
BOOKS_SECONDS = 60.0
# If a process is lost, its figures since its last page are lost too.
PAGE_SECONDS = 2.0


class Team(Protocol):
    """The users of a run, in one or several processes, as its course needs them."""

    def order(self, **order: Any) -> None: ...

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the state of each process: see `Follower.state`."""

    def close_books(self) -> None:
        """Collect the accounts of all processes in this process's run, and reconcile them."""

    def lost_users(self) -> int: ...


def total(states: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return sum(state[name] for state in states.values())


def paths(states: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the open sockets of all processes, by path."""
    found: Counter[str] = Counter()
    for state in states.values():
        found.update(state["paths"])
    return dict(found)


def ends(states: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the greatest offset of each epoch that any process knows."""
    found: dict[str, int] = {}
    for state in states.values():
        for epoch, offset in [*state["ends"].items(), *([state["end"]] if state["end"] else [])]:
            found[epoch] = max(found.get(epoch, 0), offset)
    return found


def recent(states: Mapping[str, Mapping[str, Any]]) -> Counter[float]:
    """Return the latencies of the current step."""
    counts: Counter[float] = Counter()
    for state in states.values():
        counts.update(dict(state["step"]))
    return counts


class Alone:
    """This process has all users."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def order(self, **order: Any) -> None:
        self._follower.obey(order)

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        return {"": self._follower.state()}

    def close_books(self) -> None:
        self._follower.run.settle_accounts()

    def lost_users(self) -> int:
        return 0


class Workers:
    """Locust's workers have the users. A lost worker is accounted for up to its last page, and its users are named."""

    def __init__(
        self,
        run: Run,
        runner: MasterRunner,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = gevent.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._run = run
        self._runner = runner
        self._states: dict[str, dict[str, Any]] = {}
        # The time of each worker's last message, by the clock and by the run's seconds.
        self._heard: dict[str, tuple[float, int]] = {}
        self._users: dict[str, list[str]] = {}
        # A description of each lost worker.
        self._lost: dict[str, str] = {}
        # The joined pages of each worker, and the workers that have handed in their last page.
        self._books: dict[str, dict[str, Any]] = {}
        self._paged: dict[str, int] = {}
        self._done: set[str] = set()
        self._order: dict[str, Any] = {}
        runner.register_message(STATE, self._on_state)
        runner.register_message(BOOKS, self._on_books)

    def order(self, **order: Any) -> None:
        """Send all orders so far each time, because a worker that comes late must know them too."""
        self._order.update(order)
        self._runner.send_message(ORDER, dict(self._order))
        if order.get("phase", self._run.phase) != self._run.phase:
            self._run.enter(order["phase"])

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        self._look_for_lost()
        return {worker: state for worker, state in self._states.items() if worker not in self._lost}

    def close_books(self) -> None:
        found = ends(self.states())
        if self._order.get("end"):
            self._run.end = tuple(self._order["end"])
        self._runner.send_message(CLOSE, {"ends": found})
        until = self._clock() + BOOKS_SECONDS
        while set(self.states()) - self._done and self._clock() < until:
            self._sleep(0.1)
        for worker in set(self._states) - self._done:
            self._lose(worker, "handed in no last books")
        for worker in sorted(self._books):
            is_whole = worker not in self._lost
            tally = process_accounts.take(self._run, self._books[worker], is_whole=is_whole)
            if not is_whole:
                self._run.unaccounted[f"{self._lost[worker]}; {self._counted(worker, tally)}"] = self._users[worker]
        for worker in set(self._lost) - set(self._books):
            self._run.unaccounted[f"{self._lost[worker]}; nothing of its was counted"] = self._users.get(worker, [])
        self._run.settle_accounts()

    def _counted(self, worker: str, tally: Tally) -> str:
        on_the_way = f", {tally.on_the_way:,} on their way" if tally.on_the_way else ""
        deliveries = f"{tally.due:,} deliveries due, {tally.arrived:,} received{on_the_way}"
        return f"counted up to {self._paged[worker]} s: {deliveries}"

    def lost_users(self) -> int:
        return sum(len(self._users.get(worker, ())) for worker in self._lost)

    def _on_state(self, msg: Any, **_more: Any) -> None:
        state = msg.data
        self._states[msg.node_id] = state
        self._heard[msg.node_id] = self._clock(), self._run.second
        self._run.differences[f"worker {self._number(msg.node_id)}"] = Difference(*state["clock"])
        self._users.setdefault(msg.node_id, []).extend(state["joined"])

    def _on_books(self, msg: Any, **_more: Any) -> None:
        worker = msg.node_id
        self._books[worker] = process_accounts.bind(self._books.get(worker, {}), msg.data["page"])
        self._paged[worker] = msg.data["second"]
        if msg.data["is_last"]:
            self._done.add(worker)

    def _look_for_lost(self) -> None:
        if self._run.phase == ENDED:
            return
        for worker, (at, second) in self._heard.items():
            if worker not in self._done and self._clock() - at > SILENCE_SECONDS:
                self._lose(worker, f"last message at {second} s")

    def _lose(self, worker: str, why: str) -> None:
        if worker in self._lost:
            return
        self._lost[worker] = f"worker {self._number(worker)}, {why}"
        logger.warning("%s, with %d users", self._lost[worker], len(self._users.get(worker, ())))

    def _number(self, worker: str) -> int:
        return int(self._runner.get_worker_index(worker)) + 1  # type: ignore[no-untyped-call] # Locust has no types


class Obedient:
    """The part of a worker: receives the master's orders, and sends the state of its users."""

    def __init__(self, follower: Follower, runner: WorkerRunner) -> None:
        self._follower = follower
        self._runner = runner
        self._one_page = BoundedSemaphore(1)
        self._is_done = False
        runner.register_message(ORDER, self._on_order)
        runner.register_message(CLOSE, self._on_close)
        gevent.spawn(self._tell)

    def _on_order(self, msg: Any, **_more: Any) -> None:
        self._follower.obey(msg.data)

    def _on_close(self, msg: Any, **_more: Any) -> None:
        self._hand_in(msg.data["ends"])

    def _hand_in(self, ends: dict[str, int] | None = None) -> None:
        # Sending may wait, and the last page must be the last.
        with self._one_page:
            if self._is_done:
                return
            self._is_done = ends is not None
            page = {"page": self._follower.page(ends), "is_last": self._is_done, "second": self._follower.run.second}
            self._runner.send_message(BOOKS, page)

    def _tell(self) -> None:
        for turn in itertools.count(1):
            gevent.sleep(STATE_SECONDS)
            if not self._runner.connected:
                continue
            self._runner.send_message(STATE, self._follower.state())
            if turn % int(PAGE_SECONDS / STATE_SECONDS) == 0:
                self._hand_in()
