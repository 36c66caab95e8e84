"""Users in several processes: their states add up, late workers receive commands, and a lost worker is reported."""

from types import SimpleNamespace

import gevent
import pytest

from loadtest.run import coordinator, figures
from loadtest.run.coordinator import ACCOUNTS, CLOSE, COMMAND, STATE, WORKER_TIMEOUT_SECONDS, WorkerProcesses, total
from loadtest.run.objectives import Objectives, broken
from loadtest.run.run_state import HOLD, SETTLE, Run
from loadtest.run.worker_agent import WorkerAgent
from testkit.delivery_ledger import Kind, Ledger


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def make_run(clock=lambda: 1000.0):
    return Run(Objectives.read(), lambda **_request: None, clock=clock)


class Worker:
    """A worker's end of the connection: its agent, and whether it still answers."""

    def __init__(self, runner, name, users):
        self.run = make_run()
        self.agent = WorkerAgent(self.run, lambda: self.journeys)
        self.journeys = []
        self._runner = runner
        self.name = name
        self.alive = True
        for user in users:
            self.run.users.add(user)
            ledger = Ledger(user, ("e", 0))
            self.run.accounts.open_page(ledger, ("e", 0), 1000.0)
            ledger.received(1, 0.01)
            self.run.accounts.published(
                "e", {"offset": 1, "notification_id": 1, "verb": "updated", "title": "plan"}, 1000.0
            )
            self.run.accounts.audience.read += 1

    def send_state(self):
        if self.alive:
            self._runner.receive(STATE, self.agent.state(), self.name)

    def send_accounts(self, ends=None):
        message = {"increment": self.agent.increment(ends), "is_last": ends is not None, "second": 7}
        self._runner.receive(ACCOUNTS, message, self.name)

    def handle(self, kind, data):
        if self.alive and kind == COMMAND:
            self.agent.apply(data)
        elif self.alive and kind == CLOSE:
            self.send_accounts(data["ends"])


class Runner:
    """The methods of Locust's master that a coordinator uses."""

    def __init__(self):
        self.workers = []
        self._listeners = {}

    def register_message(self, kind, listener):
        self._listeners[kind] = listener

    def send_message(self, kind, data):
        for each in self.workers:
            each.handle(kind, data)

    def receive(self, kind, data, name):
        self._listeners[kind](msg=SimpleNamespace(node_id=name, data=data), environment=None)

    def get_worker_index(self, name):
        return [each.name for each in self.workers].index(name)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def runner():
    return Runner()


@pytest.fixture
def workers(clock, runner):
    worker_processes = WorkerProcesses(make_run(), runner, clock=clock, sleep=clock.sleep)
    runner.workers = [Worker(runner, "a", ["ada", "bob"]), Worker(runner, "b", ["eve"])]
    for each in runner.workers:
        each.send_state()
    return worker_processes


def test_states_add_up(workers):
    assert total(workers.states(), "live") == 3
    assert coordinator.ends(workers.states()) == {"e": 1}


def test_open_sockets_add_up_by_path_and_in_all(workers, runner):
    first, second = runner.workers
    first.run.paths.update({"/ws/users/": 2, "/ws/documents/": 1})
    second.run.paths.update({"/ws/users/": 3})
    for each in runner.workers:
        each.send_state()
    assert coordinator.paths(workers.states()) == {"/ws/users/": 5, "/ws/documents/": 1}
    assert total(workers.states(), "sockets") == 6


def test_command_holds_for_a_worker_that_comes_late(workers, runner):
    workers.command(phase=HOLD)
    late = Worker(runner, "c", [])
    runner.workers.append(late)
    workers.command(elapsed=0.0)
    assert [each.run.phase for each in runner.workers] == [HOLD] * 3


def test_user_waits_for_those_of_other_processes_too(workers, runner):
    runner.workers[0].run.online.update(["ada", "bob"])
    workers.command(online=3)
    assert [each.run.online_elsewhere for each in runner.workers] == [1, 3]


def test_seconds_of_all_processes_begin_together(workers, runner):
    workers.command(elapsed=12.0)
    assert runner.workers[0].run.second == 12


def test_network_is_cut_for_every_journey_once(workers, runner):
    changes = []
    runner.workers[1].journeys = [SimpleNamespace(network_changed=lambda: changes.append("eve"))]
    workers.command(network=False)
    workers.command(elapsed=0.0)
    assert changes == ["eve"]
    assert not runner.workers[1].run.network


def test_accounts_of_all_are_one(workers):
    workers.command(phase=SETTLE)
    workers.close_accounts()
    account = workers._run.accounts.account
    assert (account.clients, account.due, account.arrived) == (3, 3, 3)
    assert not workers._run.unaccounted


def test_worker_that_fell_silent_is_counted_up_to_its_last_increment_and_its_users_are_named(workers, runner, clock):
    runner.workers[1].send_accounts()
    runner.workers[1].alive = False
    clock.now += WORKER_TIMEOUT_SECONDS + 0.1
    runner.workers[0].send_state()
    assert total(workers.states(), "live") == 2
    assert workers.lost_users() == 1
    workers.close_accounts()
    message = "worker 2, last message at 0 s; counted up to 7 s: 1 deliveries due, 1 received"
    assert workers._run.unaccounted == {message: ["eve"]}
    assert (
        workers._run.accounts.account.clients,
        workers._run.accounts.account.due,
        workers._run.accounts.account.arrived,
    ) == (3, 3, 3)
    assert workers._run.values(cpu_share=0.0, lag_ms=0.0)["unaccounted_users"] == 1


def test_worker_that_sends_no_accounts_is_waited_for_and_then_lost(workers, runner, clock):
    runner.workers[1].handle = lambda *_message: None
    began = clock.now
    clock.sleep = lambda _seconds: (
        setattr(clock, "now", clock.now + 1.0),
        [each.send_state() for each in runner.workers],
    )
    workers._sleep = clock.sleep
    workers.close_accounts()
    assert clock.now - began >= coordinator.ACCOUNTS_SECONDS
    assert workers._run.unaccounted == {"worker 2, sent no last accounts; none of its deliveries was counted": ["eve"]}
    assert workers._run.accounts.account.clients == 2


def test_users_are_told_by_name_once():
    run = make_run()
    agent = WorkerAgent(run, list)
    run.users.update(["ada", "bob"])
    assert agent.state()["joined"] == ["ada", "bob"]
    run.users.add("eve")
    assert agent.state()["joined"] == ["eve"]
    assert agent.state()["live"] == 3


def test_who_is_away_before_a_spike_is_told_by_number_and_only_in_the_hold():
    run = make_run()
    WorkerAgent(run, list).apply({"phase": HOLD, "active_share": 0.25})
    absent = [run.is_absent(number) for number in range(1, 401)]
    assert sum(absent) == 300
    run.enter(SETTLE)
    assert not run.is_absent(next(i for i, is_absent in enumerate(absent, 1) if is_absent))


def test_end_of_the_stream_is_read_again_until_a_page_has_it():
    run = make_run()
    ends = iter([None, ("e", 3), ("e", 4)])
    agent = WorkerAgent(run, lambda: [SimpleNamespace(read_stream_end=lambda: next(ends))])
    for _ in range(3):
        agent.apply({"read_end": True})
        gevent.sleep(0)
    assert run.accounts.end == ("e", 3)


def test_step_has_all_figures_with_an_objective_of_all_processes(workers, runner):
    """The step begins at 20 s, and its users began to come at 10 s."""
    for n, worker in enumerate(runner.workers):
        worker.agent.apply({"step_came": 10, "step_since": 20})
        for name, second, value in (
            (figures.PAGE, 15, 9000.0),
            (figures.PAGE, 25, 100.0 + 4000.0 * n),
            (figures.LOGIN, 5, 9000.0),
            (figures.LOGIN, 15, 700.0),
        ):
            worker.run.figures.latencies[name].add(second, value)
        worker.run.figures.failures.note("GET /: server error 502", 5)
        worker.run.figures.failures.note("GET /: server error 502", 15)
        for now in (1005.0, 1012.0):
            worker.run.accounts.note(Kind.DEAF, "socket", "ada", "", now)
        worker.send_state()
    values = coordinator.step_values(workers.states())
    assert (values["page_p95_ms"], values["login_p95_ms"]) == (4100.0, 700.0)
    assert (values["failed_requests"], values["server_errors"], values["deaf"]) == (2, 2, 2)
    found = broken(Objectives.read(), values)
    assert found == [
        "deaf was 2, 0 allowed",
        "page_p95_ms was 4,100, 1,000 allowed",
        "page_p99_ms was 4,100, 3,000 allowed",
        "failed_requests was 2, 0 allowed",
        "server_errors was 2, 0 allowed",
    ]


def test_events_that_other_processes_know_are_known_here(workers, runner):
    workers.command(ends={"e": 9})
    assert [each.run.accounts.publications.end_at("e") for each in runner.workers] == [9, 9]


def test_failures_of_all_processes_are_one_list(workers, runner):
    for each in runner.workers:
        each.run.figures.failures.note("GET /: connection refused", 3)
        each.run.figures.own_faults.note("KeyError: 'x' in editor.py:9", 4)
    workers.close_accounts()
    found = workers._run.figures
    assert found.failures.lines() == ["2 x GET /: connection refused (first: at 3 s)"]
    assert found.own_faults.lines() == ["2 x KeyError: 'x' in editor.py:9 (first: at 4 s)"]
