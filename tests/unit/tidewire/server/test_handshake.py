"""Connections before the WebSocket handshake: limits on time, size and number, and the response at each limit."""

import inspect

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web import http

from tidewire import metrics
from tidewire.server import handshake

SECONDS = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


class Listener:
    """Twisted's factory with the library's limits, on the test's clock."""

    def __init__(self, *, limit: int = 3) -> None:
        self.clock = Clock()
        self.served: list[bytes] = []
        self.factory = http.HTTPFactory(reactor=self.clock)
        self.handshakes = handshake.limit_requests(self.factory, seconds=SECONDS, limit=limit, request_bytes=100)

    def connect(self) -> "Client":
        return Client(self)


class Client:
    def __init__(self, listener: Listener) -> None:
        class Request(http.Request):
            def process(self) -> None:
                listener.served.append(self.path)
                self.finish()

        self.transport = StringTransport()
        self.protocol = listener.factory.buildProtocol(None)
        self.protocol.requestFactory = Request
        self.protocol.makeConnection(self.transport)

    def say(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    @property
    def told(self) -> bytes:
        return self.transport.value().split(b"\r\n")[0]

    @property
    def ended(self) -> bool:
        return bool(self.transport.disconnecting)


def refused(limit: str) -> float:
    return metrics.LIMIT_REJECTIONS.labels(limit)._value.get()


def test_a_client_that_sends_its_request_byte_by_byte_has_only_so_long():
    """A byte a second would reset an idle timeout forever, so the time limit applies to the whole request."""
    listener = Listener()
    before = refused("handshake_seconds")
    slow = listener.connect()
    for byte in b"GET / HTTP":
        slow.say(bytes([byte]))
        assert not slow.ended
        listener.clock.advance(1)
    assert slow.told == b"HTTP/1.1 408 Request Timeout"
    assert slow.ended
    assert refused("handshake_seconds") == before + 1


def test_a_client_that_says_nothing_has_the_same_time():
    listener = Listener()
    silent = listener.connect()
    listener.clock.advance(SECONDS)
    assert silent.told == b"HTTP/1.1 408 Request Timeout"


def test_a_request_in_time_is_served_and_the_next_has_its_own_time():
    """A connection that is kept alive gets new time after each response, but not after each byte."""
    listener = Listener()
    client = listener.connect()
    listener.clock.advance(SECONDS - 1)
    client.say(REQUEST)
    assert listener.served == [b"/"]
    listener.clock.advance(SECONDS - 1)
    assert not client.ended
    client.say(REQUEST[:5])
    listener.clock.advance(1)
    assert client.ended


def test_one_connection_too_many_ends_the_one_that_has_waited_longest():
    """Slow handshakes end each other; a client that sends its request at once is served."""
    listener = Listener(limit=3)
    before = refused("handshakes")
    slow = [listener.connect() for _ in range(3)]
    quick = listener.connect()
    assert [each.ended for each in slow] == [True, False, False]
    assert slow[0].told == b"HTTP/1.1 503 Service Unavailable"
    assert refused("handshakes") == before + 1
    quick.say(REQUEST)
    assert listener.served == [b"/"]


@pytest.mark.parametrize("leave", ["a whole request", "going away"])
def test_a_place_is_given_back(leave):
    listener = Listener(limit=1)
    first = listener.connect()
    if leave == "a whole request":
        first.say(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    else:
        first.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(listener.handshakes) == 0


def test_a_body_is_refused_where_it_passes_its_bound():
    """Twisted would write a body of any length to a file."""
    listener = Listener()
    before = refused("request_bytes")
    client = listener.connect()
    client.say(POST + b"x" * 100)
    assert not client.ended
    client.say(b"x")
    assert client.told == b"HTTP/1.1 413 Content Too Large"
    assert client.ended
    assert listener.served == []
    assert refused("request_bytes") == before + 1


def test_bodies_of_several_requests_are_not_added_up():
    listener = Listener()
    client = listener.connect()
    for _ in range(3):
        client.say(POST.replace(b"1000", b"60") + b"x" * 60)
    assert len(listener.served) == 3


@pytest.mark.parametrize(
    "rubbish",
    [b"\x16\x03\x01\r\n\r\n", b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"x" * 20_000 + b"\r\n"],
    ids=["TLS", "no version", "no colon", "no end"],
)
def test_what_is_no_request_is_told_so_and_counted(rubbish):
    listener = Listener()
    before = refused("request")
    client = listener.connect()
    client.say(rubbish)
    assert client.told == b"HTTP/1.1 400 Bad Request"
    assert client.ended
    assert refused("request") == before + 1


def test_every_private_name_is_where_it_was():
    """A name that an upgrade of Twisted moves must fail here."""
    channel = http.HTTPChannel
    for name in ("resetTimeout", "timeoutConnection", "rawDataReceived", "lineLengthExceeded", "allContentReceived"):
        assert callable(getattr(channel, name)), name
    for name in ("requestDone", "connectionLost", "loseConnection", "_respondToBadRequestAndDisconnect"):
        assert callable(getattr(channel, name)), name
    assert "self._handlingRequest" in inspect.getsource(channel.rawDataReceived)
    assert "self.resetTimeout()" in inspect.getsource(channel.dataReceived)


def test_the_proxy_s_question_is_answered_without_the_application():
    """It precedes each handshake, so it must cost little; the connection ends."""
    listener = Listener()
    proxy = listener.connect()
    proxy.say(b"GET /tidewire-alive HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert proxy.told == b"HTTP/1.1 204 No Content"
    assert proxy.ended
    assert listener.served == []
    assert len(listener.handshakes) == 0
