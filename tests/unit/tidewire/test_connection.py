"""A connection's bound: who is over it is skipped, and told of once."""

from tests.unit.tidewire.fakes import LIMIT, FakeSocket
from tidewire.frames import frame

MADE = frame("hello")


def test_a_socket_with_room_is_ready():
    """What waits may reach the bound."""
    socket = FakeSocket()
    assert socket.connection.ready()
    assert socket.connection.offer([MADE], MADE.wire)
    assert socket.writer.frames == [MADE]


def test_a_full_socket_is_skipped_and_reported_once():
    """However often it is asked, a full socket takes nothing and is reported when it first was full."""
    socket = FakeSocket()
    socket.writer.full = True
    assert not socket.connection.ready()
    assert not socket.connection.offer([MADE], MADE.wire)
    assert not socket.connection.ready()
    assert socket.became_full == 1
    assert socket.writer.frames == []


def test_an_offer_that_is_refused_fills_the_socket():
    """Offering is asking and writing in one call, with the same end."""
    socket = FakeSocket()
    socket.writer.full = True
    assert not socket.connection.offer([MADE], MADE.wire)
    assert socket.became_full == 1
    assert socket.connection.full_since is not None


def test_a_socket_is_full_until_half_of_its_bound_is_free(monkeypatch):
    """A socket at the edge of its bound does not flap."""
    socket = FakeSocket()
    backlog = LIMIT + 1
    monkeypatch.setattr(type(socket.writer), "backlog", property(lambda _: backlog))
    assert not socket.connection.ready()
    backlog = LIMIT // 2 + 1
    assert not socket.connection.drained()
    assert not socket.connection.ready()
    backlog = LIMIT // 2
    assert socket.connection.drained()
    assert socket.connection.ready()
    assert socket.connection.full_since is None


def test_answers_are_written_to_a_full_socket_too():
    """Control is not subject to the bound: it is little, and what it says cannot be had later."""
    socket = FakeSocket()
    socket.writer.full = True
    assert not socket.connection.ready()
    socket.connection.write(MADE)
    assert socket.writer.frames == [MADE]


def test_who_asks_and_never_reads_is_full_too(monkeypatch):
    """Answers alone reach the bound where nothing is delivered; then it is as with any full socket."""
    socket = FakeSocket()
    socket.connection.write(MADE)
    assert socket.became_full == 0
    monkeypatch.setattr(type(socket.writer), "backlog", property(lambda _: LIMIT + 1))
    socket.connection.write(MADE)
    socket.connection.write(MADE)
    assert socket.became_full == 1
    assert socket.connection.full_since is not None
