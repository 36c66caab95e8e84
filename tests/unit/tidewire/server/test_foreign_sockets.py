"""Sockets of other applications: counted, bounded and drained, without a word of tidewire in their protocol."""

import asyncio

import pytest

from tidewire import metrics
from tidewire.asgi import size_of
from tidewire.close_codes import CloseCode
from tidewire.server.foreign_sockets import MAX_BACKLOG_FACTOR, UNNAMED, ForeignSockets

LIMIT = 1000
SLOW_SECONDS = 0.3


class Transport:
    """The server's protocol: a backlog that the test sets, and the codes of its closes."""

    def __init__(self):
        self.backlog = 0
        self.closed = []

    def close_by_server(self, code):
        self.closed.append(code)

    def close_at_once(self, code):
        self.closed.append(("at once", code))


@pytest.fixture
def sockets():
    return ForeignSockets(limit_bytes=LIMIT, slow_seconds=SLOW_SECONDS)


def opened(sockets, name="Chat"):
    socket = sockets.add(Transport())
    socket.consumer = name
    socket.opened()
    return socket


def value(metric, *labels):
    return metric.labels(*labels)._value.get()


def test_a_socket_is_forgotten_when_it_is_closed_and_its_application_has_ended(sockets):
    """Whatever comes first: a drain waits for the end of each `disconnect`."""
    first, second = opened(sockets), opened(sockets)
    sockets.closed(first, 1000)
    assert first in sockets.sockets
    sockets.application_ended(first)
    sockets.application_ended(second)
    assert second in sockets.sockets
    sockets.closed(second, 1000)
    assert not sockets.sockets


def test_a_socket_is_counted_from_its_handshake_to_its_end(sockets):
    before = value(metrics.CONNECTIONS, "Counted")
    socket = opened(sockets, "Counted")
    assert value(metrics.CONNECTIONS, "Counted") == before + 1
    sockets.closed(socket, 1001)
    assert value(metrics.CONNECTIONS, "Counted") == before
    assert value(metrics.CLOSES, "Counted", "1001") == 1
    refused, failed = sockets.add(Transport()), sockets.add(Transport())
    refused.rejected()
    for each in (refused, failed):
        sockets.closed(each, 1006)
    assert value(metrics.CONNECTS, UNNAMED, "rejected") == value(metrics.CONNECTS, UNNAMED, "failed") == 1


def test_codes_of_a_project_are_labels_and_codes_of_clients_are_not(sockets, monkeypatch):
    monkeypatch.setattr(metrics, "_own_codes", set())
    for code in range(4000, 4100):
        socket = opened(sockets, "Codes")
        socket.closing(code)
        sockets.closed(socket, code)
    client = opened(sockets, "Codes")
    sockets.closed(client, 4999)
    labels = {
        sample.labels["code"]
        for family in metrics.CLOSES.collect()
        for sample in family.samples
        if sample.labels["consumer"] == "Codes"
    }
    assert labels == {*(str(code) for code in range(4000, 4000 + metrics.MAX_OWN_CODES)), "other"}


def test_a_drain_sends_1012_and_nothing_else(sockets):
    socket = opened(sockets)
    socket.write("a message of tidewire")
    socket.close(CloseCode.DRAINING)
    assert socket._protocol.closed == [1012]


def test_a_socket_in_its_handshake_is_closed_once_it_is_accepted(sockets):
    socket = sockets.add(Transport())
    socket.close(CloseCode.DRAINING)
    assert socket._protocol.closed == []
    socket.opened()
    assert socket._protocol.closed == [1012]


async def own_task(socket, work):
    """Run as the socket's own task."""
    task = asyncio.ensure_future(work)
    socket.tasks = (task,)
    return await task


async def test_the_socket_s_own_task_waits_until_its_client_has_read(sockets):
    socket = opened(sockets)
    assert sockets.has_room(socket, 100_000), "one message may be larger than the bound"
    socket._protocol.backlog = LIMIT
    assert not sockets.has_room(socket, 1)
    asyncio.get_running_loop().call_later(0.1, setattr, socket._protocol, "backlog", 0)
    assert await own_task(socket, sockets.wait_for_room(socket, 1))
    assert socket._protocol.closed == []


async def test_a_client_that_reads_nothing_is_disconnected(sockets):
    socket = opened(sockets, "Slow")
    socket._protocol.backlog = LIMIT
    assert not await own_task(socket, sockets.wait_for_room(socket, 1))
    assert socket._protocol.closed == [("at once", 1013)]
    assert value(metrics.SLOW_CLOSES, "Slow") == 1


async def test_another_task_never_waits(sockets):
    """It may be a thread of all sync consumers, or a loop over many sockets."""
    socket = opened(sockets)
    socket._protocol.backlog = LIMIT * MAX_BACKLOG_FACTOR - 1
    assert await asyncio.wait_for(sockets.wait_for_room(socket, 1), SLOW_SECONDS / 2)
    socket._protocol.backlog += 1
    assert not await sockets.wait_for_room(socket, 1)
    assert socket._protocol.closed == [("at once", 1013)]


async def test_a_closed_socket_makes_no_task_wait(sockets):
    socket = opened(sockets)
    socket._protocol.backlog = LIMIT
    waiting = asyncio.ensure_future(own_task(socket, sockets.wait_for_room(socket, 1)))
    await asyncio.sleep(0)
    sockets.closed(socket, 1006)
    assert await waiting
    assert socket._protocol.closed == []


@pytest.mark.parametrize(("message", "size"), [({"text": "four"}, 4), ({"bytes": b"123"}, 3), ({"text": None}, 0)])
def test_the_size_of_a_message(message, size):
    assert size_of(message) == size


def test_what_a_consumer_holds_is_released_once_when_its_socket_closes(sockets):
    """Whatever happens to the consumer: it may have failed, or may wait for ever."""
    released = []

    def fail():
        raise ZeroDivisionError

    socket = opened(sockets)
    socket.add_cleanup(lambda: released.append("first"))
    socket.add_cleanup(fail)
    socket.add_cleanup(lambda: released.append("second"))
    assert released == []
    sockets.closed(socket, 1006)
    socket.closed(1006)
    assert released == ["first", "second"]
    socket.add_cleanup(lambda: released.append("late"))
    assert released == ["first", "second", "late"]
