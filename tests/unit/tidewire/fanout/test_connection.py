"""A connection's limit: events that do not fit are not kept, and control messages have their own room."""

import pytest

from tests.unit.tidewire.fakes import LIMIT, FakeSocket
from tidewire.fanout.frames import frame

MADE = frame("hello")


@pytest.fixture
def socket(monkeypatch):
    """A socket with a backlog of `socket.waits` bytes."""
    fake_socket = FakeSocket()
    fake_socket.waits = 0
    monkeypatch.setattr(type(fake_socket.writer), "backlog", property(lambda _: fake_socket.waits))
    return fake_socket


def try_write(socket, frame=MADE) -> bool:
    return socket.connection.try_write([frame], frame.wire)


def test_a_socket_with_room_takes_events(socket):
    assert try_write(socket)
    assert socket.writer.frames == [MADE]


def test_a_full_socket_is_skipped_and_reported_once(socket):
    """A full socket refuses every event, and reports only once that it is full."""
    socket.waits = LIMIT
    assert not try_write(socket)
    assert not try_write(socket)
    assert socket.became_full == 1
    assert socket.connection.full_since is not None
    assert socket.writer.frames == []


def test_events_and_what_waits_stay_within_the_limit_together(socket):
    """The limit applies to the backlog including the new event."""
    socket.waits = socket.connection.event_limit - len(MADE.wire) + 1
    assert not try_write(socket)
    assert socket.connection.has_room_again() is False
    socket.waits = socket.connection.event_limit // 2
    assert socket.connection.has_room_again()
    assert try_write(socket)


def test_an_event_above_the_limit_is_taken_where_nothing_waits(socket):
    """An event that is larger than the limit could never be delivered otherwise."""
    large = frame("x" * 2 * LIMIT)
    socket.waits = 1
    assert not try_write(socket, large)
    assert not socket.connection.has_room_again(), "a socket that does not read must not be offered it again and again"
    socket.waits = 0
    assert socket.connection.has_room_again()
    assert try_write(socket, large)


def test_a_socket_is_full_until_half_of_its_limit_is_free(socket):
    """A socket at its limit does not alternate between full and writable."""
    socket.waits = LIMIT
    assert not try_write(socket)
    socket.waits = LIMIT // 2 + 1
    assert not socket.connection.has_room_again()
    assert not try_write(socket)
    socket.waits = LIMIT // 2
    assert socket.connection.has_room_again()
    assert try_write(socket)
    assert socket.connection.full_since is None


def test_a_socket_full_of_events_takes_control_messages(socket):
    """Control messages are small, and clients cannot request them later."""
    socket.waits = socket.connection.event_limit
    assert not try_write(socket)
    socket.connection.write(MADE)
    assert socket.writer.frames == [MADE]


def test_a_client_that_asks_and_never_reads_stays_full(socket):
    """Replies are limited too. A client cannot request a dropped reply later, so the socket must reconnect."""
    socket.waits = LIMIT
    socket.connection.write(MADE)
    socket.connection.write(MADE)
    assert socket.writer.frames == []
    assert socket.became_full == 1
    socket.waits = 0
    assert not socket.connection.has_room_again()
