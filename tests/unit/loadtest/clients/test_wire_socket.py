"""A socket of a product without a history: its stays, its messages, and planted faults."""

import dataclasses
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event as Signal

from loadtest.clients import live_socket
from loadtest.clients.socket_readers import Closed, Unreadable
from loadtest.clients.wire_socket import WireSocket
from loadtest.clients.wires import JsonNumber
from loadtest.run.objectives import Objectives
from loadtest.run.planted_faults import AT_EVENT, PlantedFaults
from loadtest.run.run_state import HOLD, SETTLE, Run
from testkit.delivery_ledger import Kind


class Clock:
    now = 1000.0

    def __call__(self):
        self.now += 0.001
        return self.now


class Connection:
    """A client's WebSocket, its `sock` and its reader, in the room of a chat."""

    def __init__(self, room):
        self.room, self.sock, self.texts = room, self, None
        self.ended = Signal()

    def reads(self, texts):
        self.texts = texts
        self.room.append(self)
        return self

    def read(self):
        self.ended.wait()
        raise Closed(1006)

    def send(self, text):
        for each in list(self.room):
            each.texts(text.encode())

    def stop(self):
        self.shutdown()

    def setsockopt(self, *_option):
        pass

    def send_close(self):
        pass

    def shutdown(self, _how=None):
        self.ended.set()
        if self in self.room:
            self.room.remove(self)


def settle():
    for _ in range(20):
        gevent.sleep(0)


@pytest.fixture
def run():
    made = Run(Objectives.read(), lambda **_request: None, clock=Clock())
    made.enter(HOLD)
    return made


@pytest.fixture
def room(monkeypatch):
    """The connections in the room."""
    made = []
    monkeypatch.setattr(live_socket, "open_websocket", lambda *_, **_options: Connection(made))
    monkeypatch.setattr(live_socket, "socket_reader", lambda opened, texts, **_options: opened.reads(texts))
    monkeypatch.setattr(live_socket, "longest_delay", lambda _attempt: 0.0)
    return made


@pytest.fixture
def enter(run, room):
    opened = []

    def enter(client, wire=None):
        wire = wire or JsonNumber("hall")
        opened.append(WireSocket(run, "http://a", "/chat/hall/", wire, cookie="", client=client))
        settle()
        return opened[-1]

    yield enter
    for each in opened:
        each.close()
    settle()


def test_what_one_client_publishes_all_receive(run, enter):
    ada, _bob = enter("ada"), enter("bob")
    run.clock.now += 5.0
    assert ada.publish(text="Hello")
    assert ada.publish(text="again")
    tally = run.accounts.tally(now=run.clock())
    assert (tally.clients, tally.due, tally.arrived) == (2, 4, 4)
    assert list(run.accounts.names.values()) == ["message 1 of ada#1 in hall", "message 2 of ada#1 in hall"]
    run.flush()
    assert run.figures.latencies["delivery"].total == 4


def test_client_without_a_connection_publishes_nothing(run, enter):
    ada = enter("ada")
    ada.lose_network()
    settle()
    assert not ada.publish(text="Hello")
    assert list(run.accounts.rooms.published) == []


def test_nothing_is_published_once_the_run_waits_for_due_messages(run, enter):
    """A journey without `rest_when_over` must not go on for ever."""
    ada = enter("ada")
    run.enter(SETTLE)
    assert not ada.publish(text="Hello")
    assert list(run.accounts.rooms.published) == []


def test_lost_connection_ends_the_stay_and_the_next_is_another(run, enter):
    """A message that is sent between them is due to others only."""
    ada, bob = enter("ada"), enter("bob")
    run.clock.now += 5.0
    ada.publish(text="both")
    run.clock.now += 5.0
    bob.lose_network()
    settle()
    run.clock.now += 5.0
    ada.publish(text="ada alone")
    run.clock.now += 5.0
    bob.find_network()
    settle()
    run.clock.now += 5.0
    ada.publish(text="both again")
    tally = run.accounts.tally(now=run.clock())
    assert (tally.clients, tally.due, tally.arrived) == (3, 5, 5)
    assert not +tally.counts


def test_numbers_begin_again_with_each_connection(run, enter):
    ada = enter("ada")
    ada.publish(text="one")
    ada.lose_network()
    settle()
    ada.find_network()
    settle()
    ada.publish(text="two")
    assert {name for _, name in run.accounts.rooms.published} >= {"message 1 of ada#2 in hall"}
    assert not +run.accounts.tally(now=run.clock()).counts


def test_numbers_of_the_server_need_no_sender(run, enter, room):
    enter("ada", JsonNumber("hall", sender=""))
    run.clock.now += 5.0
    for each in list(room):
        each.texts(b'{"number": 1, "text": "Hello"}')
        each.texts(b'{"number": 3, "text": "Hello"}')
    [fault] = run.accounts.tally(now=run.clock()).faults
    assert str(fault) == "lost: message 2 in hall at ada (2 received)"


@pytest.mark.parametrize(
    ("kind", "expected"), [("drop", Kind.LOST), ("double", Kind.DUPLICATED), ("swap", Kind.REORDERED)]
)
def test_planted_fault_is_found(run, enter, kind, expected):
    run.planted = PlantedFaults([kind], 60.0)
    ada = enter("ada")
    run.clock.now += 5.0
    for _ in range(AT_EVENT + 5):
        ada.publish(text="Hello")
    assert +run.accounts.tally(now=run.clock()).counts == {expected: 1}


@pytest.mark.parametrize(
    ("kind", "expected"), [("drop", Kind.LOST), ("double", Kind.DUPLICATED), ("swap", Kind.REORDERED)]
)
def test_planted_fault_that_still_holds_a_message_when_the_connection_ends_is_found_once(run, enter, kind, expected):
    """No later connection receives the held message, so that the client must receive it now."""
    run.planted = PlantedFaults([kind], 60.0)
    ada = enter("ada")
    run.clock.now += 5.0
    for _ in range(AT_EVENT):
        ada.publish(text="Hello")
    run.clock.now += 2.0
    ada.lose_network()
    settle()
    ada.find_network()
    settle()
    run.clock.now += 5.0
    for _ in range(AT_EVENT + 5):
        ada.publish(text="Hello")
    assert +run.accounts.tally(now=run.clock()).counts == {expected: 1}


def test_server_of_a_room_owes_no_answer_to_a_handshake(room, enter, run):
    """A chat in which nothing is said is not deaf."""
    run.objectives = dataclasses.replace(run.objectives, answer_seconds=0.01)
    enter("ada")
    gevent.sleep(0.1)
    assert not +run.accounts.tally(now=run.clock()).counts


def test_unreadable_message_is_a_fault_of_the_product(run, enter, room):
    enter("ada")
    with pytest.raises(Unreadable, match="unreadable message: JSONDecodeError"):
        room[0].texts(b"no JSON")
    assert not run.figures.own_faults.lines()


@pytest.mark.parametrize(
    "text",
    [
        '{"number": 0}',
        '{"number": -1}',
        '{"number": Infinity}',
        '{"number": 1, "sent": NaN}',
        '{"number": 1, "sent": -Infinity}',
        '{"number": 1, "sent": "noon"}',
    ],
)
def test_message_with_an_impossible_number_or_time_is_unreadable(text):
    """It counted as a fault of the load test's own code. Of messages with number 0, none was ever a duplicate."""
    socket = SimpleNamespace(_wire=JsonNumber("hall", sender=""))
    with pytest.raises(Unreadable):
        WireSocket._numbered(socket, text.encode())
