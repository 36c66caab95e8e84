"""The processes that have the users of a run: this one, or Locust's workers. Passes commands down and states up."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from loadtest.run import process_accounts
from loadtest.run.clock_difference import Difference
from loadtest.run.figures import judged
from loadtest.run.run_state import ENDED, Run
from loadtest.run.worker_agent import WorkerAgent
from testkit.reconciliation import Tally

if TYPE_CHECKING:
    # Importing Locust patches the standard library, which must not happen to the tests of this arithmetic.
    from locust.runners import MasterRunner, WorkerRunner

logger = logging.getLogger(__name__)

COMMAND, STATE, CLOSE, ACCOUNTS = "tidewire-command", "tidewire-state", "tidewire-close", "tidewire-accounts"
STATE_SECONDS = 0.5
# A process that was silent for this long is lost; a starved one is late by less. Locust itself waits longer: see
# locust_run.py.
WORKER_TIMEOUT_SECONDS = 15.0
ACCOUNTS_SECONDS = 60.0
# If a process is lost, its figures since its last increment are lost too.
INCREMENT_SECONDS = 2.0


class Coordinator(Protocol):
    """The users of a run, in one or several processes, as the run controller needs them."""

    def command(self, **command: Any) -> None: ...

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the state of each process: see `WorkerAgent.state`."""

    def close_accounts(self) -> None:
        """Collect the accounts of all processes in this process's run, and reconcile them."""

    def lost_users(self) -> int: ...


def total(states: Mapping[str, Mapping[str, Any]], name: str) -> int:
    return sum(state[name] for state in states.values())


def paths(states: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the open sockets of all processes, by path."""
    counts: Counter[str] = Counter()
    for state in states.values():
        counts.update(state["paths"])
    return dict(counts)


def ends(states: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return the greatest offset of each epoch that any process knows."""
    offsets: dict[str, int] = {}
    for state in states.values():
        for epoch, offset in [*state["ends"].items(), *([state["end"]] if state["end"] else [])]:
            offsets[epoch] = max(offsets.get(epoch, 0), offset)
    return offsets


def step_values(states: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return the figures of the current step of a search that have objectives, by name, over all processes."""
    latencies: defaultdict[str, Counter[float]] = defaultdict(Counter)
    values: Counter[str] = Counter()
    for state in states.values():
        step = state["step"]
        for name, counts in step.get("latencies", {}).items():
            latencies[name].update(dict(counts))
        values.update(step.get("faults", {}))
        values.update({name: step.get(name, 0) for name in ("failed_requests", "server_errors")})
    return {**values, **judged(latencies)}


class OneProcess:
    """This process has all users."""

    def __init__(self, agent: WorkerAgent) -> None:
        self._agent = agent

    def command(self, **command: Any) -> None:
        self._agent.apply(command)

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        return {"": self._agent.state()}

    def close_accounts(self) -> None:
        self._agent.run.reconcile()

    def lost_users(self) -> int:
        return 0


class WorkerProcesses:
    """Locust's workers have the users. A lost worker counts up to its last increment, and its users are named."""

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
        self._runner = runner
        self.begin(run)
        runner.register_message(STATE, self._on_state)
        runner.register_message(ACCOUNTS, self._on_accounts)

    def begin(self, run: Run) -> None:
        """Begin the run of another test, of which no worker has reported anything yet."""
        self._run = run
        self._states: dict[str, dict[str, Any]] = {}
        # The time of each worker's last message, by the clock and by the run's seconds.
        self._last_messages: dict[str, tuple[float, int]] = {}
        self._users: dict[str, list[str]] = {}
        # A description of each lost worker.
        self._lost: dict[str, str] = {}
        # The accounts of each worker, and the workers that have sent their last increment.
        self._accounts: dict[str, dict[str, Any]] = {}
        self._accounted_until: dict[str, int] = {}
        self._done: set[str] = set()
        self._command: dict[str, Any] = {}

    def command(self, **command: Any) -> None:
        """Send all values so far each time, because a worker that comes late must know them too."""
        self._command.update(command)
        self._runner.send_message(COMMAND, dict(self._command))
        if command.get("phase", self._run.phase) != self._run.phase:
            self._run.enter(command["phase"])

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        self._check_for_lost()
        return {worker: state for worker, state in self._states.items() if worker not in self._lost}

    def close_accounts(self) -> None:
        known_ends = ends(self.states())
        if self._command.get("end"):
            self._run.accounts.end = tuple(self._command["end"])
        self._runner.send_message(CLOSE, {"ends": known_ends})
        until = self._clock() + ACCOUNTS_SECONDS
        while set(self.states()) - self._done and self._clock() < until:
            self._sleep(0.1)
        for worker in set(self._states) - self._done:
            self._mark_lost(worker, "sent no last accounts")
        for worker in sorted(self._accounts):
            is_whole = worker not in self._lost
            tally = process_accounts.add_to_run(self._run, self._accounts[worker], is_whole=is_whole)
            if not is_whole:
                self._run.unaccounted[f"{self._lost[worker]}; {self._described(worker, tally)}"] = self._users[worker]
        for worker in set(self._lost) - set(self._accounts):
            self._run.unaccounted[f"{self._lost[worker]}; none of its deliveries was counted"] = self._users.get(
                worker, []
            )
        self._run.reconcile()

    def _described(self, worker: str, tally: Tally) -> str:
        on_the_way = f", {tally.on_the_way:,} on their way" if tally.on_the_way else ""
        deliveries = f"{tally.due:,} deliveries due, {tally.arrived:,} received{on_the_way}"
        return f"counted up to {self._accounted_until[worker]} s: {deliveries}"

    def accounts_so_far(self) -> list[dict[str, Any]]:
        """Return the accounts that each worker has sent."""
        return list(self._accounts.values())

    def lost_users(self) -> int:
        return sum(len(self._users.get(worker, ())) for worker in self._lost)

    def _on_state(self, msg: Any, **_more: Any) -> None:
        state = msg.data
        self._states[msg.node_id] = state
        self._last_messages[msg.node_id] = self._clock(), self._run.second
        self._run.differences[f"worker {self._number(msg.node_id)}"] = Difference(*state["clock"])
        self._users.setdefault(msg.node_id, []).extend(state["joined"])

    def _on_accounts(self, msg: Any, **_more: Any) -> None:
        worker = msg.node_id
        self._accounts[worker] = process_accounts.joined(self._accounts.get(worker, {}), msg.data["increment"])
        self._accounted_until[worker] = msg.data["second"]
        if msg.data["is_last"]:
            self._done.add(worker)

    def _check_for_lost(self) -> None:
        if self._run.phase == ENDED:
            return
        for worker, (at, second) in self._last_messages.items():
            if worker not in self._done and self._clock() - at > WORKER_TIMEOUT_SECONDS:
                self._mark_lost(worker, f"last message at {second} s")

    def _mark_lost(self, worker: str, why: str) -> None:
        if worker in self._lost:
            return
        self._lost[worker] = f"worker {self._number(worker)}, {why}"
        logger.warning("%s, with %d users", self._lost[worker], len(self._users.get(worker, ())))

    def _number(self, worker: str) -> int:
        return int(self._runner.get_worker_index(worker)) + 1  # type: ignore[no-untyped-call] # Locust has no types


class WorkerConnection:
    """The part of a worker: receives the master's commands, and sends the state of its users."""

    def __init__(self, agent: WorkerAgent, runner: WorkerRunner) -> None:
        self._runner = runner
        self._one_at_a_time = BoundedSemaphore(1)
        self.begin(agent)
        runner.register_message(COMMAND, self._on_command)
        runner.register_message(CLOSE, self._on_close)
        gevent.spawn(self._send_states)

    def begin(self, agent: WorkerAgent) -> None:
        """Report the users of another test from now on."""
        self._agent = agent
        self._is_done = self._is_paused = False

    def pause(self) -> None:
        """Report nothing until the next test, because the master must not confuse the states of two tests."""
        self._is_paused = True

    def _on_command(self, msg: Any, **_more: Any) -> None:
        self._agent.apply(msg.data)

    def _on_close(self, msg: Any, **_more: Any) -> None:
        self._send_accounts(msg.data["ends"])

    def _send_accounts(self, ends: dict[str, int] | None = None) -> None:
        # Sending may wait, and the last increment must be the last.
        with self._one_at_a_time:
            if self._is_done:
                return
            self._is_done = ends is not None
            increment = self._agent.increment(ends)
            message = {"increment": increment, "is_last": self._is_done, "second": self._agent.run.second}
            self._runner.send_message(ACCOUNTS, message)

    def _send_states(self) -> None:
        for turn in itertools.count(1):
            gevent.sleep(STATE_SECONDS)
            if not self._runner.connected or self._is_paused:
                continue
            self._runner.send_message(STATE, self._agent.state())
            if turn % int(INCREMENT_SECONDS / STATE_SECONDS) == 0:
                self._send_accounts()
