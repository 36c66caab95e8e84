"""A live socket that loses its network or its page at each moment, alone and with a planted fault."""

import json
from datetime import UTC, datetime
from functools import partial
from urllib.parse import parse_qs, urlsplit

import gevent
import pytest
from gevent.event import Event as Signal

from loadtest.clients import live_socket
from loadtest.clients.live_socket import LiveSocket
from loadtest.clients.socket_readers import Closed
from loadtest.run.objectives import Objectives
from loadtest.run.planted_faults import AT_EVENT, PlantedFaults
from loadtest.run.run_state import HOLD, SETTLE, Run
from testkit.delivery_ledger import Kind, Ledger, parse_position

LATE_SECONDS = 2.0
KINDS = {"drop": Kind.LOST, "double": Kind.DUPLICATED, "swap": Kind.REORDERED, "delay": Kind.LATE}
EVENTS = 24
# From before the damaged event to after all that a fault may still hold.
MOMENTS = range(AT_EVENT - 1, AT_EVENT + 5)
# The event after which a delay is over.
RELEASED = AT_EVENT + 3
# Before that, once its timer has expired, or once its events have been received.
BEFORE_RELEASE, WITH_RELEASE, AFTER_RELEASE = "before release", "with release", "after release"


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

    def lose_events(self):
        """Send all clients a new position, as if the events before it were unavailable."""
        for each in list(self.connections):
            self.send(each, {"type": "resumed", "at": f"e:{len(self.events)}", "recovered": False})


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
        ledger = Ledger(client, ("e", 0), late_seconds=LATE_SECONDS)
        run.accounts.open_page(ledger, ("e", 0), run.clock())
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
    phone = LiveSocket(run, "http://a", "/ws/notifications/", cookie="", at="e:0", ledger=Ledger("ada", ("e", 0)))
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


def publish_all(server, release, incidents):
    """Publish all events, and let each incident happen after its event and in its order with the end of a delay."""

    def happen(*when):
        incidents.get(when, bool)()

    for event in range(1, EVENTS + 1):
        server.publish()
        happen(event, BEFORE_RELEASE)
        if event in (RELEASED, EVENTS):
            release()
        happen(event, WITH_RELEASE)
        settle()
        happen(event, AFTER_RELEASE)
        settle()


@pytest.fixture
def faults_of(run, server, clock, open_socket, monkeypatch):
    """Return the faults that the ledgers find if something happens to ada's socket after an event of the stream."""
    timers = []

    def spawn_later(_seconds, function):
        timers.append(gevent.Greenlet(function))
        return timers[-1]

    def release():
        clock.now += LATE_SECONDS + 1.0
        for timer in timers:
            timer.start()

    monkeypatch.setattr(live_socket.gevent, "spawn_later", spawn_later)

    def faults(kind, moment, happens, *, order=AFTER_RELEASE):
        run.planted = PlantedFaults([kind], LATE_SECONDS + 1.0)
        ada = open_socket("ada")
        open_socket("bob")
        publish_all(server, release, {(moment, order): partial(happens, ada), (moment + 2, order): ada.find_network})
        found = run.accounts.tally({"e": EVENTS}, now=clock.now).faults
        return [(fault.kind, fault.client) for fault in found if fault.kind is not Kind.FORGOTTEN]

    return faults


def assert_found_once(kind, faults):
    """Assert that one client has the fault. Events behind a delayed event are late too."""
    assert {found for found, _ in faults} == {KINDS[kind]}
    assert len(set(faults) if kind == "delay" else faults) == 1


def lose_network_for_a_moment(phone):
    phone.lose_network()
    phone.find_network()


def lose_socket(phone):
    """Lose the socket while the network stays, as when a node ends."""
    phone._socket.shutdown()


@pytest.mark.parametrize("order", [BEFORE_RELEASE, WITH_RELEASE, AFTER_RELEASE])
@pytest.mark.parametrize("happens", [LiveSocket.lose_network, lose_network_for_a_moment, lose_socket, LiveSocket.close])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_planted_fault_is_found_once_whenever_its_client_loses_the_socket(faults_of, kind, moment, happens, order):
    assert_found_once(kind, faults_of(kind, moment, happens, order=order))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_planted_fault_is_found_once_whenever_the_server_sends_a_new_position(faults_of, server, kind, moment):
    assert_found_once(kind, faults_of(kind, moment, lambda _socket: server.lose_events()))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_planted_fault_that_has_begun_when_the_hold_ends_is_found(faults_of, run, kind, moment):
    faults = faults_of(kind, moment, lambda _socket: run.enter(SETTLE))
    if moment < AT_EVENT:
        assert not faults
    else:
        assert_found_once(kind, faults)


def test_stream_on_a_socket_without_a_position_is_named_as_a_failure_of_the_socket(run, server, monkeypatch, failures):
    """A journey has forgotten the position of its page: its exception would name only the load test's own code."""
    monkeypatch.setattr(live_socket, "open_websocket", lambda *_url, **_options: Connection(server, 0))
    forgetful = LiveSocket(run, "http://a", "/ws/notifications/", cookie="")
    gevent.sleep(0)
    forgetful.close()
    settle()
    assert set(failures) == {"/ws/notifications/ lost"}
    assert not run.figures.own_faults.lines()
