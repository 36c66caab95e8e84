"""Messages of one process's clients are due to the clients of other processes too."""

from types import SimpleNamespace

import gevent
import pytest

from loadtest.run import message_exchange
from loadtest.run.message_exchange import MessageExchange
from loadtest.run.objectives import Objectives
from loadtest.run.rooms import Series
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Kind


class Runner:
    """Locust's runner of a process; `peers` receive its messages."""

    def __init__(self):
        self.listeners, self.peers = {}, []

    def register_message(self, name, listener):
        assert name not in self.listeners
        self.listeners[name] = listener

    def send_message(self, name, data):
        for peer in self.peers:
            peer.listeners[name](msg=SimpleNamespace(data=data))


class Worker(Runner):
    connected = True


@pytest.fixture
def workers(monkeypatch):
    """Two workers of a master, each with its run."""
    monkeypatch.setattr(message_exchange, "INTERVAL_SECONDS", 0.0)
    master, one, two = Runner(), Worker(), Worker()
    master.peers, one.peers, two.peers = [one, two], [master], [master]
    runs = []
    for runner in (master, one, two):
        exchange = MessageExchange(runner)
        run = Run(Objectives.read(), lambda **_request: None, clock=lambda: 200.0)
        exchange.begin(run)
        runs.append(run)
    return runs[1:]


def test_deaf_client_of_another_process_is_due_the_message(workers):
    """Without the exchange the client's process does not know that there was a message."""
    sender, deaf = workers
    deaf.accounts.rooms.enter("deaf", "hall", 100.0)
    sender.accounts.rooms.sent(Series("hall", "ada#1"), 1, 150.0)
    for _ in range(20):
        gevent.sleep(0)
    tally = deaf.accounts.tally(now=1000.0)
    assert tally.counts[Kind.LOST] == 1
    # The message must not come back as another one of the sender's own process.
    assert len(list(sender.accounts.rooms.published)) == 1
    assert deaf.accounts.rooms.unshared(200.0) == []
