"""Limits on data from WebSocket clients: handshakes, frames and bytes, each with its close code and metric."""

import asyncio
import struct
from types import SimpleNamespace

import pytest
from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.testing import StringTransport

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.server.inbound import InboundLimits
from tidewire.server.inbox import Inbox
from tidewire.server.protocol import OPEN, DirectProtocol, create_protocol_class

TEXT, CONTINUATION, PING, CLOSE = 1, 0, 9, 8
CONNECTING = DirectProtocol.STATE_CONNECTING
REQUEST = SimpleNamespace(headers={}, path="/")


def frame(opcode: int, body: bytes = b"", *, final: bool = True, length: int | None = None) -> bytes:
    """Return a client's frame with a mask of zeros. `length` announces more bytes than `body` has."""
    size = len(body) if length is None else length
    head = bytes([opcode | (0x80 if final else 0)])
    head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack("!H", size)
    return head + b"\0\0\0\0" + body


class Server:
    """The methods that Daphne's protocol calls on its server."""

    root_path = ""
    proxy_forwarded_address_header = None

    def __init__(self) -> None:
        self.told: list[object] = []

    def protocol_connected(self, _protocol):
        """Required by the protocol."""

    def protocol_disconnected(self, protocol):
        self.told.append(protocol)

    def log_action(self, *_):
        """Required by the protocol."""

    def create_application(self, protocol, _scope):
        return protocol.application_queue


@pytest.fixture
def limits():
    return InboundLimits(message_bytes=1000, frames_per_second=20, handshakes=2)


@pytest.fixture
def connect(limits):
    """Return a socket and its application's messages; with `live=False` its application is not a live consumer."""
    factory = WebSocketFactory(Server(), server="daphne")
    factory.countConnections = 1
    protocol_class = create_protocol_class(factory, limits)

    def connected(*, live: bool = True, state: int = OPEN) -> tuple[DirectProtocol, list]:
        protocol = protocol_class()
        protocol.factory = factory
        protocol.closeHandshakeTimeout = 0  # its timer would need a reactor
        protocol._raw_query_string = b""
        protocol.client_addr, protocol.peer, protocol.path = None, "tcp4:127.0.0.1:1", b"/"
        protocol.transport = StringTransport()
        protocol.transport.registerProducer(object(), streaming=True)
        protocol._direct = False
        protocol.current_frame, protocol.inside_message, protocol.websocket_version = None, False, 18
        protocol.state = state
        received: list = []

        async def receive(message) -> None:
            received.append(message)

        protocol.application_queue = Inbox(receive, received.append, lambda: None) if live else Received(received)
        return protocol, received

    return connected


class Received:
    """The queue of an application that is not a live consumer."""

    def __init__(self, received: list) -> None:
        self.put_nowait = received.append


def closed_with(protocol) -> list[int]:
    """Return the codes of the close frames that were sent."""
    wire = protocol.transport.value()
    codes = []
    while wire:
        size = wire[1] & 0x7F
        if wire[0] & 0x0F == CLOSE:
            codes.append(struct.unpack("!H", wire[2:4])[0])
        wire = wire[2 + size :]
    return codes


def refused(limit: str) -> float:
    return metrics.LIMIT_REJECTIONS.labels(limit)._value.get()


class TestFrames:
    async def test_within_the_bounds_messages_are_heard(self, connect):
        protocol, received = connect()
        protocol.dataReceived(frame(TEXT, b"one") + frame(TEXT, b"t", final=False) + frame(CONTINUATION, b"wo"))
        await asyncio.sleep(0)
        assert [message["text"] for message in received] == ["one", "two"]
        assert closed_with(protocol) == []

    @pytest.mark.parametrize("kind", [PING, TEXT, CONTINUATION])
    async def test_more_frames_than_a_second_may_have_close_the_socket(self, connect, limits, kind):
        """Pings and empty fragments are not messages, so no consumer could count them."""
        before = refused("frames_per_second")
        protocol, received = connect()
        if kind == CONTINUATION:
            protocol.dataReceived(frame(TEXT, final=False))
        flood = frame(kind, b"", final=kind != CONTINUATION)
        protocol.dataReceived(flood * 200)
        await asyncio.sleep(0)
        assert closed_with(protocol) == [CloseCode.FLOODING]
        assert refused("frames_per_second") == before + 1
        assert len(received) <= limits.frames_per_second

    async def test_pings_of_who_floods_are_no_longer_answered(self, connect, limits):
        """Pongs would accumulate for a client that does not read."""
        protocol, _ = connect()
        protocol.dataReceived(frame(PING, b"x") * 200)
        size = len(protocol.transport.value())
        protocol.dataReceived(frame(PING, b"x") * 200)
        assert len(protocol.transport.value()) == size
        assert protocol.transport.value().count(b"\x8a\x01x") == limits.frames_per_second

    async def test_a_flood_is_not_even_parsed_once_its_socket_is_closing(self, connect):
        """Frames must not be kept either. The server must receive the close code even if the client does not answer."""
        protocol, received = connect()
        protocol.server, protocol.request = protocol.factory.server_class, REQUEST
        protocol.dataReceived(frame(PING) * 200)
        protocol.onFrameBegin = None  # parsing would call it
        protocol.dataReceived(frame(PING) * 200)
        assert not protocol.data
        protocol.onClose(False, 1006, "the close was not answered")
        await asyncio.sleep(0)
        assert received == [{"type": "websocket.disconnect", "code": CloseCode.FLOODING}]

    async def test_a_close_of_the_server_that_nobody_answers_keeps_its_code(self, connect):
        """A client that vanished during a drain was closed by the drain, and not lost."""
        protocol, received = connect()
        protocol.server, protocol.request = protocol.factory.server_class, REQUEST
        protocol.serverClose(code=int(CloseCode.DRAINING))
        protocol.onClose(False, 1006, "the close was not answered")
        await asyncio.sleep(0)
        assert received == [{"type": "websocket.disconnect", "code": CloseCode.DRAINING}]

    async def test_a_new_second_counts_anew(self, connect, limits):
        """The server resets the counts once a second."""
        protocol, received = connect()
        for _ in range(3):
            protocol.dataReceived(frame(TEXT, b"x") * limits.frames_per_second)
            limits.frames.clear()
        await asyncio.sleep(0)
        assert closed_with(protocol) == []
        assert len(received) == 3 * limits.frames_per_second

    async def test_another_application_s_socket_has_daphne_s_bounds(self, connect):
        """A project may have consumers of its own, with limits of their own."""
        protocol, received = connect(live=False)
        protocol.dataReceived(frame(TEXT, b"x" * 1001) + frame(TEXT, b"x") * 200)
        assert len(received) == 201
        assert closed_with(protocol) == []


class TestBytes:
    async def test_a_message_is_refused_by_its_length_before_it_comes(self, connect):
        """The frame's header is sufficient: the body must be neither awaited nor stored."""
        before = refused("message_bytes")
        protocol, received = connect()
        protocol.dataReceived(frame(TEXT, length=1001))
        assert closed_with(protocol) == [CloseCode.TOO_LARGE]
        assert refused("message_bytes") == before + 1
        protocol.dataReceived(b"x" * 900)
        protocol.dataReceived(b"x" * 101 + frame(TEXT, b"more"))
        await asyncio.sleep(0)
        assert received == []
        assert not protocol.data
        assert not protocol.message_data

    async def test_fragments_are_added_up(self, connect):
        protocol, received = connect()
        protocol.dataReceived(frame(TEXT, b"x" * 600, final=False) + frame(CONTINUATION, length=500))
        await asyncio.sleep(0)
        assert closed_with(protocol) == [CloseCode.TOO_LARGE]
        assert received == []

    async def test_the_largest_message_is_heard(self, connect):
        protocol, received = connect()
        protocol.dataReceived(frame(TEXT, b"x" * 1000))
        await asyncio.sleep(0)
        assert [len(message["text"]) for message in received] == [1000]

    async def test_more_than_daphne_s_own_bound_is_counted_too(self, connect):
        """Also for other applications, because autobahn drops the connection."""
        before = refused("message_bytes")
        protocol, _ = connect(live=False)
        protocol.maxMessagePayloadSize = 5000
        protocol.dataReceived(frame(TEXT, length=5001))
        assert protocol.transport.disconnected
        assert refused("message_bytes") == before + 1


class TestHandshakes:
    async def test_so_many_wait_for_the_application(self, connect, limits):
        """The next one receives 503, so that a proxy tries another node. A free place is used again."""
        before = refused("handshakes")
        waiting = [connect(live=False, state=CONNECTING)[0] for _ in range(3)]
        for protocol in waiting[:2]:
            protocol.onConnect(REQUEST)
        with pytest.raises(ConnectionDeny) as denied:
            waiting[2].onConnect(REQUEST)
        assert denied.value.code == 503
        assert refused("handshakes") == before + 1
        waiting[0].onClose(False, 1006, "gone")
        waiting[2].onConnect(REQUEST)
        assert limits.waiting == set(waiting[1:])

    async def test_an_accepted_socket_waits_no_longer(self, connect, limits):
        protocol, _ = connect(live=False, state=CONNECTING)
        protocol.onConnect(REQUEST)
        protocol.serverAccept()
        assert limits.waiting == set()

    async def test_a_handshake_that_failed_before_daphne_heard_of_it_is_no_error(self, connect):
        """For example an unsupported version: stock Daphne raises an AttributeError in this case."""
        protocol, _ = connect(live=False, state=CONNECTING)
        del protocol.application_queue
        protocol.onClose(False, 1006, "unsupported version")
        assert protocol.factory.server_class.told == []

    async def test_who_talks_before_the_answer_is_refused(self, connect):
        """Early messages would accumulate until the application answers."""
        before = refused("request")
        protocol, received = connect(live=False, state=CONNECTING)
        protocol.onConnect(REQUEST)
        protocol.dataReceived(frame(TEXT, b"early"))
        assert protocol.transport.value().startswith(b"HTTP/1.1 400 ")
        assert protocol.transport.disconnecting
        assert (received, refused("request")) == ([{"type": "websocket.connect"}], before + 1)

    async def test_an_application_that_does_not_answer_is_given_up(self, connect):
        before = refused("application_seconds")
        protocol, _ = connect(live=False, state=CONNECTING)
        protocol.onConnect(REQUEST)
        protocol.onOpenHandshakeTimeout()
        assert protocol.transport.value().startswith(b"HTTP/1.1 503 ")
        assert refused("application_seconds") == before + 1

    async def test_an_open_socket_is_not_given_up(self, connect):
        protocol, _ = connect()
        protocol.onOpenHandshakeTimeout()
        assert protocol.transport.value() == b""


def test_bytes_that_are_no_frames_are_counted(connect):
    """Such bytes end the connection without a close frame, so no close code shows the reason."""
    protocol, _heard = connect()
    before = refused("protocol")
    protocol.dataReceived(b"\xff" + bytes(20))
    assert refused("protocol") == before + 1
