"""The private names of Daphne that tidewire uses still exist, and bytes are sent in the order of the calls.

If an upgrade of Daphne, autobahn or Twisted moves a name, these tests must fail before production does.
"""

import ast
import inspect
import random
from collections import deque
from unittest import mock

import pytest
from autobahn.websocket.protocol import WebSocketProtocol as AutobahnProtocol
from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.abstract import FileDescriptor
from twisted.internet.tcp import Connection
from twisted.internet.tcp import Server as AcceptedSocket

from tests.unit.tidewire.fakes import LIMIT, NO_LIMITS
from tidewire.fanout.frames import frame
from tidewire.server import frame_log, inbound, protocol
from tidewire.server.protocol import _OPEN_ATTRIBUTES, OPEN, DirectProtocol, create_protocol_class


class Socket:
    """A socket that accepts some of the bytes, none of them, or fails."""

    def __init__(self, takes: deque[int | None]) -> None:
        self.takes = takes
        self.wire = b""

    def send(self, data: bytes) -> int:
        take = self.takes.popleft() if self.takes else len(data)
        if take is None:
            raise BlockingIOError
        self.wire += data[:take]
        return min(take, len(data))


class Transport(FileDescriptor):
    """Twisted's own buffering on top of such a socket. `drain` does the work of the reactor."""

    def __init__(self, takes=()) -> None:
        super().__init__(reactor=object())
        self.connected = True
        self.socket = Socket(deque(takes))

    def startWriting(self) -> None:  # noqa: N802  # Twisted's name
        return

    def stopWriting(self) -> None:  # noqa: N802
        return

    def writeSomeData(self, data):  # noqa: N802
        try:
            return self.socket.send(bytes(data))
        except BlockingIOError:
            return 0

    def drain(self) -> None:
        while self._tempDataLen or len(self.dataBuffer) != self.offset:
            self.doWrite()


@pytest.fixture
def factory():
    return WebSocketFactory(object(), server="daphne")


@pytest.fixture
def make(factory):
    """Return a function that opens a connection. Its transport takes this many bytes at each attempt."""
    protocol_class = create_protocol_class(factory, NO_LIMITS)

    def open_connection(takes=(), protocol_class=protocol_class) -> tuple[DirectProtocol, Transport]:
        protocol = protocol_class()
        protocol.factory = factory
        protocol.client_addr = None
        protocol.transport = Transport(takes)
        protocol.state = OPEN
        protocol._direct = protocol._plain = True
        return protocol, protocol.transport

    return open_connection


def play(protocol: DirectProtocol, transport: Transport, seed: int) -> bytes:
    """Run a random sequence of all kinds of writes. Returns the bytes that the wire must carry."""
    script = random.Random(seed)
    due = b""
    for number in range(200):
        text = f"{seed}-{number}-" + "x" * script.choice([0, 1, 200, 70_000])
        match script.choice(["hub", "try_write", "consumer", "empty", "ping", "drain"]):
            case "hub":
                protocol.write([frame(text)], frame(text).wire)
                due += frame(text).wire
            case "try_write":
                if protocol.try_write([frame(text)], frame(text).wire, 100_000):
                    due += frame(text).wire
            case "consumer":
                protocol.handle_reply({"type": "websocket.send", "text": text})
                due += frame(text).wire
            case "empty":
                protocol.handle_reply({"type": "websocket.send", "text": ""})
                due += frame("").wire
            case "ping":
                protocol.sendPing(b"p")
                due += b"\x89\x01p"
            case "drain":
                transport.doWrite()
    protocol.sendCloseFrame(code=1000)
    due += b"\x88\x02\x03\xe8"
    transport.drain()
    return due


def takes_of(seed: int) -> list[int | None]:
    script = random.Random(-seed)
    return [script.choice([None, 0, 1, 7, 100, 5000, 10**6]) for _ in range(400)]


@pytest.mark.parametrize("seed", range(25))
def test_the_wire_carries_every_write_in_order_and_whole(make, seed):
    """Mixed writes of hub and consumer, partial writes, full sockets, pings and the close."""
    protocol, transport = make(takes_of(seed))
    due = play(protocol, transport, seed)
    assert transport.socket.wire == due


def test_a_writer_that_bypasses_the_buffer_fails_the_same_check(make, factory):
    """The check must be able to fail: a hub that always tries the socket first overtakes buffered bytes."""

    class Wrong(create_protocol_class(factory, NO_LIMITS)):
        def try_write(self, frames, wire, limit):
            try:
                taken = self.transport.socket.send(wire)
            except OSError:
                taken = 0
            if taken < len(wire):
                self.transport.write(wire[taken:])
            return True

    broken = 0
    for seed in range(25):
        protocol, transport = make(takes_of(seed), Wrong)
        broken += play(protocol, transport, seed) != transport.socket.wire
    assert broken > 20


def test_an_offer_is_declined_above_its_bound_and_taken_again_below(make):
    protocol, transport = make([None] * 3)
    big = frame("x" * LIMIT)
    assert protocol.try_write([big], big.wire, LIMIT)
    assert protocol.backlog == len(big.wire)
    assert not protocol.try_write([big], big.wire, LIMIT)
    assert protocol.backlog == len(big.wire)
    transport.drain()
    assert protocol.backlog == 0
    assert protocol.try_write([big], big.wire, LIMIT)


@pytest.mark.parametrize("write", ["write", "try_write", "sendData"])
def test_a_lost_socket_is_left_to_the_reactor(make, write):
    """A write may meet a reset first. The bytes are buffered, and the reactor then receives and reports the error."""
    protocol, transport = make()
    hello = frame("hello")

    def send(_data):
        raise ConnectionResetError

    transport.socket.send = send
    arguments = {"write": ([hello], hello.wire), "try_write": ([hello], hello.wire, LIMIT), "sendData": (hello.wire,)}
    getattr(protocol, write)(*arguments[write])
    assert protocol.backlog == len(hello.wire)
    with pytest.raises(ConnectionResetError):
        transport.doWrite()


def test_bytes_for_a_transport_that_is_closing_go_through_it(make):
    """Bytes must follow those that the transport has buffered, and must not be written directly to the socket."""
    protocol, transport = make()
    transport.disconnecting = True
    transport._postLoseConnection = lambda: None
    assert protocol.try_write([frame("x")], frame("x").wire, LIMIT)
    assert transport.socket.wire == b""
    transport.drain()
    protocol.sendData(b"after")
    assert transport.socket.wire == frame("x").wire
    transport.drain()
    assert transport.socket.wire == frame("x").wire + b"after"


def test_a_connection_that_compresses_is_written_through_autobahn(make):
    """Prepared frames are not compressed, so autobahn must send such a client's messages, in the same order."""
    protocol, transport = make()
    protocol._plain = False
    sent = []
    protocol._perMessageCompress = object()
    protocol.sendMessage = lambda payload: sent.append(payload.decode())
    frames = [frame("one"), frame("two")]
    wire = frames[0].wire + frames[1].wire
    assert protocol.try_write(frames, wire, LIMIT)
    protocol.write(frames, wire)
    assert sent == ["one", "two", "one", "two"]
    assert transport.socket.wire == b""


def test_a_connection_over_tls_is_written_through_its_transport(make):
    """Plain bytes must not be written to the socket of a TLS connection."""
    protocol, transport = make()
    protocol._direct = protocol._plain = False
    text_frame = frame("x")
    protocol.sendData(b"one")
    assert protocol.try_write([text_frame], text_frame.wire, LIMIT)
    assert transport.socket.wire == b""
    assert protocol.backlog == 0, "what TLS holds is not known"
    transport.drain()
    assert transport.socket.wire == b"one" + text_frame.wire


def test_a_cut_drops_the_connection(make):
    """There is no closing handshake, because the client has not read for seconds."""
    protocol, transport = make()
    aborted = []
    transport.abortConnection = lambda: aborted.append(True)
    protocol.abort()
    assert aborted == [True]


def test_a_closed_connection_takes_nothing(make):
    protocol, transport = make()
    protocol.state = WebSocketProtocol.STATE_CLOSED
    assert protocol.try_write([frame("x")], frame("x").wire, LIMIT)
    assert transport.socket.wire == b""


def names_on(*owners: str) -> set[str]:
    """Return the attributes that the protocol's modules read of variables or attributes with these names."""
    results = set()
    for node in (each for module in (protocol, inbound) for each in ast.walk(ast.parse(inspect.getsource(module)))):
        if isinstance(node, ast.Attribute):
            value = node.value
            owner = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
            if owner in owners:
                results.add(node.attr)
    return results


def test_every_name_that_is_read_of_a_transport_is_there():
    """Checks each attribute of Twisted's transport that the module uses."""
    used = names_on("transport")
    assert used >= {"dataBuffer", "offset", "_tempDataLen", "connected", "disconnecting", "socket", "write"}
    transport = Connection(mock.Mock(), None, reactor=object())
    assert [name for name in sorted(used) if not hasattr(transport, name)] == []


def test_every_name_that_is_read_of_a_connection_is_autobahn_s_daphne_s_or_ours(factory):
    """Checks each attribute of the protocol that the module uses."""
    stock = WebSocketProtocol()
    stock.factory = factory
    stock.openHandshakeTimeout = 0
    stock._connectionMade()
    set_later = {"application_queue", "request", "server", "transport", "_validator", "_direct"}
    set_later |= {"limits", "message_data_total_length"}
    unknown = names_on("self") - set(dir(stock)) - set(dir(DirectProtocol)) - set_later
    assert unknown == set()
    classes = (DirectProtocol, inbound.LimitedProtocol, frame_log.LoggedProtocol)
    overridden = {name for each in classes for name in vars(each) if callable(getattr(each, name))}
    ours = {
        "_print",
        "_print_control",
        "_print_frames",
        "_print_line",
        "add_cleanup",
        "_drop_handshake_attributes",
        "bind",
        "claim",
        "claim_task",
        "close_at_once",
        "close_by_server",
        "detach",
        "write",
        "try_write",
        "abort",
        "_end",
        "_application_ended",
        "_buffer",
        "_report_loss",
        "code_of",
    }
    missing = {name for name in overridden - ours if not name.startswith("__") and not hasattr(WebSocketProtocol, name)}
    assert missing == set(), "an override of nothing is never called"


def test_what_daphne_sets_in_a_handshake_is_still_set_there():
    """Attributes of the handshake that an open connection keeps."""
    source = inspect.getsource(WebSocketProtocol)
    for name in ("application_queue", "client_addr", "last_ping", "path", "request", "server", "socket_opened"):
        assert f"self.{name} = " in source, name
    assert "self.request.path" in source


def test_every_private_name_is_where_it_was():
    for name in ("_tempDataLen", "dataBuffer", "offset", "connected", "disconnecting", "writeSomeData"):
        assert hasattr(FileDescriptor, name) or name in FileDescriptor.__init__.__code__.co_names, name
    assert inspect.signature(FileDescriptor.write).parameters.keys() == {"self", "data"}
    assert hasattr(Connection, "abortConnection")
    for name in ("sendData", "sendMessage", "sendCloseFrame", "_connectionMade", "_dataReceived", "_sendAutoPing"):
        assert callable(getattr(AutobahnProtocol, name)), name
    for name in ("serverAccept", "handle_reply", "handle_exception", "onMessage", "onClose", "check_timeouts"):
        assert callable(getattr(WebSocketProtocol, name)), name
    for name in ("create_application", "protocol_disconnected", "handle_reply", "kill_all_applications"):
        assert callable(getattr(Server, name)), name
    assert (WebSocketProtocol.STATE_OPEN, WebSocketProtocol.SEND_STATE_GROUND) == (3, 0)


def test_a_read_takes_little_memory(monkeypatch):
    """An accepted socket must be read with the configured size only."""
    monkeypatch.setattr(AcceptedSocket, "bufferSize", AcceptedSocket.bufferSize)
    protocol.limit_read_size()
    asked = mock.Mock(**{"socket.recv.return_value": b"", "bufferSize": AcceptedSocket.bufferSize})
    Connection.doRead(asked)
    asked.socket.recv.assert_called_once_with(protocol.READ_BYTES)


def test_what_autobahn_sets_on_each_connection_is_set_on_ours(factory, make):
    """Each attribute must exist: this protocol has it from its class, autobahn's on the instance."""
    stock = WebSocketProtocol()
    stock.factory = factory
    stock.openHandshakeTimeout = 0
    stock._connectionMade()
    ours, _ = make()
    replaced = {"is_open", "is_closed", "send_queue", "trafficStats", "utf8validator", "openHandshakeTimeout"}
    own = {"factory", "state", "_transport_details", "closeHandshakeTimeout"}
    for name, value in vars(stock).items():
        assert hasattr(ours, name), name
        if name not in replaced | own:
            assert getattr(ours, name) == value, name
    assert type(ours.utf8validator) is type(stock.utf8validator)


def test_slimming_keeps_what_a_close_needs(make):
    """Autobahn and Daphne must still find everything that they read when a lost connection is reported."""
    calls = []

    class Daphne:
        def protocol_disconnected(self, protocol):
            calls.append(protocol)

        def log_action(self, *_):
            return

    protocol, _ = make()
    protocol.request = type("Request", (), {"path": "/ws/"})()
    protocol.server = Daphne()
    protocol.client_addr = None
    protocol.peer = "tcp4:127.0.0.1:1"
    protocol.application_queue = type("Queue", (), {"put_nowait": calls.append})()
    protocol.factory.countConnections = 1
    protocol._drop_handshake_attributes()
    assert set(vars(protocol)) <= set(_OPEN_ATTRIBUTES)
    protocol._connectionLost(type("Reason", (), {"value": None})())
    assert calls == [protocol, {"type": "websocket.disconnect", "code": 1006}]
