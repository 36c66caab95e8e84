"""A worker's connection to the master, over several tests of one process."""

import gevent
import pytest

from loadtest.run import coordinator
from loadtest.run.coordinator import STATE, WorkerConnection
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import Run
from loadtest.run.worker_agent import WorkerAgent


class Runner:
    connected = True

    def __init__(self):
        self.states = []

    def register_message(self, name, listener):
        pass

    def send_message(self, name, data):
        if name == STATE:
            self.states.append(data["live"])


def agent(*users):
    run = Run(Objectives.read(), lambda **_request: None)
    run.users.update(users)
    return WorkerAgent(run, list)


def wait_for_states(runner):
    with gevent.Timeout(10.0):
        while not runner.states:
            gevent.sleep(0.001)


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.setattr(coordinator, "STATE_SECONDS", 0.001)
    monkeypatch.setattr(WorkerConnection, "_send_accounts", lambda _self: None)
    return Runner()


def test_worker_reports_nothing_of_a_test_that_ended(runner):
    """Otherwise the master would take the users of the last test for users of the next, and begin its hold at once."""
    connection = WorkerConnection(agent("ada", "bob"), runner)
    wait_for_states(runner)
    assert set(runner.states) == {2}
    connection.pause()
    runner.states.clear()
    gevent.sleep(0.05)
    assert runner.states == []
    connection.begin(agent("eve"))
    wait_for_states(runner)
    assert set(runner.states) == {1}
