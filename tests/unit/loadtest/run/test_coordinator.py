"""Users in several processes: their states add up, late workers receive orders, and a lost worker is reported."""

from types import SimpleNamespace

import pytest

from loadtest.run import coordinator
from loadtest.run.coordinator import BOOKS, CLOSE, ORDER, SILENCE_SECONDS, STATE, Workers, total
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import HOLD, SETTLE, Run
from loadtest.run.worker_agent import Follower
from testkit.delivery_ledger import Ledger


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def make_run(clock=lambda: 1000.0):
    return Run(Objectives.read(), lambda **_request: None, clock=clock)


class Worker:
    """A worker's end of the connection: its follower, and whether it still answers."""

    def __init__(self, runner, name, users):
        self.run = make_run()
        self.follower = Follower(self.run, lambda: self.journeys)
        self.journeys = []
        self._runner = runner
        self.name = name
        self.alive = True
        for user in users:
            self.run.users.add(user)
            ledger = Ledger(user)
            ledger.resumed("e", 0, recovered=True, asked=None)
            ledger.received(1, 0.01)
            self.run.published("e", {"offset": 1, "notification_id": 1, "verb": "updated", "title": "plan"})
            self.run.ledgers.append(ledger)

    def tell(self):
        if self.alive:
            self._runner.hear(STATE, self.follower.state(), self.name)

    def hand_in(self, ends=None):
        page = {"page": self.follower.page(ends), "is_last": ends is not None, "second": 7}
        self._runner.hear(BOOKS, page, self.name)

    def take(self, kind, data):
        if self.alive and kind == ORDER:
            self.follower.obey(data)
        elif self.alive and kind == CLOSE:
            self.hand_in(data["ends"])


class Runner:
    """The methods of Locust's master that a team uses."""

    def __init__(self):
        self.workers = []
        self._listeners = {}

    def register_message(self, kind, listener):
        self._listeners[kind] = listener

    def send_message(self, kind, data):
        for each in self.workers:
            each.take(kind, data)

    def hear(self, kind, data, name):
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
    made = Workers(make_run(), runner, clock=clock, sleep=clock.sleep)
    runner.workers = [Worker(runner, "a", ["ada", "bob"]), Worker(runner, "b", ["eve"])]
    for each in runner.workers:
        each.tell()
    return made


def test_states_add_up(workers):
    assert total(workers.states(), "live") == 3
    assert coordinator.ends(workers.states()) == {"e": 1}


def test_open_sockets_add_up_by_path_and_in_all(workers, runner):
    first, second = runner.workers
    first.run.paths.update({"/ws/users/": 2, "/ws/documents/": 1})
    second.run.paths.update({"/ws/users/": 3})
    for each in runner.workers:
        each.tell()
    assert coordinator.paths(workers.states()) == {"/ws/users/": 5, "/ws/documents/": 1}
    assert total(workers.states(), "sockets") == 6


def test_order_holds_for_a_worker_that_comes_late(workers, runner):
    workers.order(phase=HOLD)
    late = Worker(runner, "c", [])
    runner.workers.append(late)
    workers.order(elapsed=0.0)
    assert [each.run.phase for each in runner.workers] == [HOLD] * 3


def test_user_waits_for_those_of_other_processes_too(workers, runner):
    runner.workers[0].run.online.update(["ada", "bob"])
    workers.order(online=3)
    assert [each.run.online_elsewhere for each in runner.workers] == [1, 3]


def test_seconds_of_all_processes_begin_together(workers, runner):
    workers.order(elapsed=12.0)
    assert runner.workers[0].run.second == 12


def test_network_is_cut_for_every_journey_once(workers, runner):
    changes = []
    runner.workers[1].journeys = [SimpleNamespace(network_changed=lambda: changes.append("eve"))]
    workers.order(network=False)
    workers.order(elapsed=0.0)
    assert changes == ["eve"]
    assert not runner.workers[1].run.network


def test_books_of_all_are_one_account(workers):
    workers.order(phase=SETTLE)
    workers.close_books()
    account = workers._run.account
    assert (account.clients, account.due, account.arrived) == (3, 3, 3)
    assert not workers._run.unaccounted


def test_worker_that_fell_silent_is_counted_up_to_its_last_page_and_its_users_are_named(workers, runner, clock):
    runner.workers[1].hand_in()
    runner.workers[1].alive = False
    clock.now += SILENCE_SECONDS + 0.1
    runner.workers[0].tell()
    assert total(workers.states(), "live") == 2
    assert workers.lost_users() == 1
    workers.close_books()
    said = "worker 2, last message at 0 s; counted up to 7 s: 1 deliveries due, 1 received"
    assert workers._run.unaccounted == {said: ["eve"]}
    assert (workers._run.account.clients, workers._run.account.due, workers._run.account.arrived) == (3, 3, 3)
    assert workers._run.values(failed_requests=0, cpu_share=0.0, lag_ms=0.0)["unaccounted_users"] == 1


def test_worker_that_hands_in_no_books_is_waited_for_and_then_lost(workers, runner, clock):
    runner.workers[1].take = lambda *_message: None
    began = clock.now
    clock.sleep = lambda _seconds: (setattr(clock, "now", clock.now + 1.0), [each.tell() for each in runner.workers])
    workers._sleep = clock.sleep
    workers.close_books()
    assert clock.now - began >= coordinator.BOOKS_SECONDS
    assert workers._run.unaccounted == {"worker 2, handed in no last books; nothing of its was counted": ["eve"]}
    assert workers._run.account.clients == 2


def test_users_are_told_by_name_once():
    run = make_run()
    follower = Follower(run, list)
    run.users.update(["ada", "bob"])
    assert follower.state()["joined"] == ["ada", "bob"]
    run.users.add("eve")
    assert follower.state()["joined"] == ["eve"]
    assert follower.state()["live"] == 3


def test_who_is_away_before_a_spike_is_told_by_number_and_only_in_the_hold():
    run = make_run()
    Follower(run, list).obey({"phase": HOLD, "awake_share": 0.25})
    away = [run.is_away(number) for number in range(1, 401)]
    assert sum(away) == 300
    run.enter(SETTLE)
    assert not run.is_away(next(i for i, is_away in enumerate(away, 1) if is_away))
