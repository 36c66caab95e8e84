"""A live socket that loses its network or its page at each moment."""

import json
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import gevent
import pytest
from gevent.event import Event as Signal

from loadtest.clients import live_socket
from loadtest.clients.live_socket import LiveSocket
from loadtest.clients.socket_readers import Closed
from loadtest.run.objectives import Objectives
from loadtest.run.run_state import HOLD, Run
from testkit.delivery_ledger import Ledger, parse_position


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Connection:
    """A client's WebSocket, its `sock` and its reader. `texts` is where the server's messages go."""

    def __init__(self, server, after):
        self.server, self.after = server, after
        self.sock = self
        self.texts = None
        self.ended = Signal()

    def reads(self, texts):
        self.texts = texts
        return self

    def read(self):
        self.server.resume(self)
        self.ended.wait()
        raise Closed(1006)

    def stop(self):
        self.shutdown()

    def setsockopt(self, *_option):
        pass

    def send_close(self):
        pass

    def shutdown(self, _how=None):
        self.ended.set()
        if self in self.server.connections:
            self.server.connections.remove(self)


class Server:
    """A stream. Each new connection receives its position and the events that its client missed."""

    def __init__(self, clock):
        self.clock = clock
        self.events = []
        self.connections = []
        self.handshakes = 0
        self.may_answer = Signal()
        self.may_answer.set()
        self.refuses = False

    def open(self, url, **_options):
        self.handshakes += 1
        self.may_answer.wait()
        if self.refuses:
            raise ConnectionRefusedError
        [at] = parse_qs(urlsplit(url).query)["at"]
        made = Connection(self, parse_position(at.partition(":")[2])[1])
        self.connections.append(made)
        return made

    def resume(self, connection):
        self.send(connection, {"type": "resumed", "at": f"e:{connection.after}", "recovered": True})
        for event in self.events[connection.after :]:
            self.send(connection, event)

    def send(self, connection, event):
        if not connection.ended.is_set():
            connection.texts(json.dumps(event).encode())

    def publish(self):
        offset = len(self.events) + 1
        at = datetime.fromtimestamp(self.clock.now, UTC).isoformat()
        event = {"type": "notification.created", "id": f"id{offset}", "offset": offset, "at": at}
        self.events.append(event | {"notification_id": offset, "verb": "updated", "title": f"save {offset}"})
        for each in list(self.connections):
            self.send(each, self.events[-1])


def settle():
    for _ in range(20):
        gevent.sleep(0)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock, monkeypatch):
    made = Server(clock)
    monkeypatch.setattr(live_socket, "open_websocket", made.open)
    monkeypatch.setattr(live_socket, "socket_reader", lambda opened, texts, **_options: opened.reads(texts))
    monkeypatch.setattr(live_socket, "longest_delay", lambda _attempt: 0.0)
    return made


@pytest.fixture
def failures():
    return []


@pytest.fixture
def run(clock, failures):
    def report(*, name, exception, **_request):
        if exception:
            failures.append(name)

    made = Run(Objectives.read(), report, clock=clock)
    made.enter(HOLD)
    return made


@pytest.fixture
def open_socket(run, server):
    """Open a client's socket on the stream, and wait until it is read."""
    opened = []

    def open_it(client):
        ledger = Ledger(client)
        run.accounts.ledgers.append(ledger)
        opened.append(LiveSocket(run, "http://a", "/ws/notifications/", cookie="", at="e:0", ledger=ledger))
        settle()
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()
    settle()


def test_handshake_that_ends_without_a_network_leaves_no_socket(server, run, open_socket, failures):
    server.may_answer.clear()
    phone = open_socket("ada")
    phone.lose_network()
    server.may_answer.set()
    settle()
    assert (run.sockets, server.connections) == (0, [])
    phone.find_network()
    settle()
    assert (run.sockets, len(server.connections), server.handshakes) == (1, 1, 2)
    assert not failures


def test_handshake_during_which_the_network_was_away_leaves_no_socket(server, run, open_socket, failures):
    server.may_answer.clear()
    phone = open_socket("ada")
    phone.lose_network()
    phone.find_network()
    server.may_answer.set()
    settle()
    assert (run.sockets, len(server.connections), server.handshakes) == (1, 1, 2)
    assert not failures


def test_handshake_that_fails_without_a_network_is_no_failure(server, open_socket, failures):
    server.may_answer.clear()
    phone = open_socket("ada")
    phone.lose_network()
    phone.find_network()
    server.refuses = True
    server.may_answer.set()
    gevent.sleep(0)
    phone.close()
    assert not failures


def test_network_that_is_lost_before_the_first_handshake_prevents_it(server, run):
    phone = LiveSocket(run, "http://a", "/ws/notifications/", cookie="", at="e:0", ledger=Ledger("ada"))
    phone.lose_network()
    settle()
    assert (run.sockets, server.handshakes) == (0, 0)
    phone.close()


def test_network_that_is_lost_as_soon_as_it_is_found_prevents_a_handshake(server, run, open_socket):
    phone = open_socket("ada")
    phone.lose_network()
    settle()
    phone.find_network()
    phone.lose_network()
    settle()
    assert (run.sockets, server.connections, server.handshakes) == (0, [], 1)


def test_network_that_is_lost_and_found_at_once_is_no_failure(server, run, open_socket, failures):
    phone = open_socket("ada")
    phone.lose_network()
    phone.find_network()
    settle()
    assert (run.sockets, len(server.connections), server.handshakes) == (1, 1, 2)
    assert not failures


def test_page_that_is_left_during_a_handshake_leaves_no_socket(server, run, open_socket):
    server.may_answer.clear()
    page = open_socket("ada")
    server.may_answer.set()
    page.close()
    settle()
    assert (run.sockets, server.connections) == (0, [])
