"""Every private name of Daphne, autobahn and Twisted that tidewire touches.

`tests/unit/tidewire/test_daphne.py` fails loudly when an upgrade moves one of them.
"""

import logging
import socket
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any, NamedTuple

from autobahn.websocket.utf8validator import Utf8Validator
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet.error import ConnectionLost
from twisted.internet.tcp import Server
from twisted.python.failure import Failure

from tidewire._inbound import BoundedProtocol, Bounds
from tidewire.asgi import LOST
from tidewire.connection import Connection, attempt
from tidewire.inbox import Inbox

logger = logging.getLogger(__name__)

# Linux's number; Python names it nowhere. Elsewhere the kernel's own buffer stays as it is.
TCP_NOTSENT_LOWAT = 25
# The kernel holds so much unsent data per socket: enough for any event, little for a stalled reader.
NOTSENT_BYTES = 16 * 1024


# A read takes this much memory before anybody knows how much came, and what came stays at its head. With Twisted's
# 64 KiB each leaves a hole that the next does not fit into: RSS grew by 1 KiB for each socket that came and went.
READ_BYTES = 4096


# What an open connection still needs of the hundred names that autobahn and Daphne gave it; the rest are
# constants of the class or served the handshake only.
_KEPT = (
    "_connection",
    "_direct",
    "_plain",
    "_perMessageCompress",
    "application_queue",
    "client_addr",
    "connected",
    "current_frame",
    "data",
    "factory",
    "inside_message",
    "last_ping",
    "path",
    "peer",
    "request",
    "send_state",
    "server",
    "socket_opened",
    "state",
    "transport",
    "websocket_version",
)


# Twelve bytes, as autobahn expects of its own pings; what they say is for nobody.
_PING_BODY = b"tidewireping"
_PING_FRAME = b"\x89\x0c" + _PING_BODY

OPEN = WebSocketProtocol.STATE_OPEN

# After the close handshake, the rest of what was written before has this long to be read.
LAST_BYTES_SECONDS = 5.0


class _Unheard:
    """Stands for a Deferred that nobody waits on."""

    def callback(self, _result: Any) -> None: ...

    def errback(self, _failure: Any) -> None: ...


_UNHEARD = _Unheard()


class DirectProtocol(BoundedProtocol):
    """Daphne's websocket protocol, which writes to the socket at once where nothing waits before.

    All bytes that autobahn sends (data, ping, close) pass through `sendData`, so the order is kept
    by construction. It is a `tidewire.connection.Writer`. Made for a factory by `protocol_of`.
    """

    # Whether ready frames may go to the socket as they are: set once the handshake told of compression.
    _plain = False
    # Only chopped and synchronous writes use the queue, which Daphne never asks for. One deque takes 760 bytes.
    send_queue: Any = ()
    # What autobahn leaves for applications to wait on; Daphne does not.
    is_open: Any = _UNHEARD
    is_closed: Any = _UNHEARD
    _transport_details: Any = None
    request: Any
    _connection: Connection | None = None

    def __init__(self) -> None:
        """Nothing: autobahn's makes two Deferreds, a list, a dict and an object that nobody asks for."""

    def _connectionMade(self) -> None:
        """autobahn's, whose initial values are this class's attributes, and which pretty-prints them each time."""
        self.factory.countConnections += 1
        if self.openHandshakeTimeout > 0:
            self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                self.openHandshakeTimeout, self.onOpenHandshakeTimeout
            )

    def serverAccept(self, subprotocol: str | None = None) -> None:
        super().serverAccept(subprotocol)
        if self.state == OPEN:
            self._plain = self._direct and self._perMessageCompress is None
            self._slim()

    def _slim(self) -> None:
        self.request = _Path(self.request.path)
        had = self.__dict__
        self.__dict__ = {name: had[name] for name in _KEPT if name in had}

    @property
    def utf8validator(self) -> Any:
        """autobahn's, made when the client first says something."""
        validator = self.__dict__.get("_validator")
        if validator is None:
            validator = self._validator = Utf8Validator()  # type: ignore[no-untyped-call]
        return validator

    def connectionMade(self) -> None:
        super().connectionMade()
        # Daphne leaves the HTTP channel as the transport's producer: 8 KB for as long as the socket lives,
        # and a slow reader would have its own messages left unread.
        self.transport.unregisterProducer()
        # TLS wraps the transport, and bytes must go through its `write`.
        self._direct = hasattr(self.transport, "socket") and hasattr(self.transport, "dataBuffer")
        if self._direct:
            _limit_unsent(self.transport.socket)

    def _sendAutoPing(self) -> None:
        """autobahn's, with one ready frame for everybody: a pong need only answer the ping that waits."""
        self.autoPingPendingCall = None
        self.autoPingPending = _PING_BODY
        self.sendData(_PING_FRAME)
        if self.autoPingTimeout:
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )

    def bind(self, connection: Connection) -> None:
        """End `connection` when the transport has gone: before the application hears of it, and whatever that does."""
        if self.state == self.STATE_OPEN:
            self._connection = connection
        else:
            connection.end(LOST)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(self.code_of(code))
        super().onClose(wasClean, code, reason)

    def _closeConnection(self, abort: bool = False) -> None:
        super()._closeConnection(abort)
        if not abort and self.backlog:
            # A client that says goodbye and reads nothing more would keep its socket for as long as it likes.
            self.factory._batched_timer.call_later(LAST_BYTES_SECONDS, self.cut)

    def detach(self, handle: Callable[[dict[str, Any]], Awaitable[None]], flood: Callable[[], None]) -> None:
        """Hand all further messages to `handle`: the application may return, the socket stays open."""
        waiting = self.application_queue
        self.application_queue = Inbox(handle, self._application_ended, flood)
        while not waiting.empty():
            self.application_queue.put_nowait(waiting.get_nowait())
        self.server.detached(self)

    def _application_ended(self, error: BaseException | None) -> None:
        if error is None:
            self.serverClose()
        else:
            self.handle_exception(error)

    @property
    def backlog(self) -> int:
        # Over TLS the bytes wait, encrypted, in the transport below.
        transport: Any = self.transport if self._direct else getattr(self.transport, "transport", None)
        if not hasattr(transport, "dataBuffer"):
            return 0
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # type: ignore[no-any-return]

    def write(self, frames: list[Any], wire: bytes) -> None:
        if self.state != self.STATE_OPEN or self.send_state != self.SEND_STATE_GROUND:
            return
        if self._perMessageCompress is None:
            self.sendData(wire)
        else:
            for frame in frames:
                self.sendMessage(frame.text.encode())

    def offer(self, frames: list[Any], wire: bytes, limit: int) -> bool:
        transport = self.transport
        if (
            self._plain
            and self.state == OPEN
            and not self.send_state
            and not transport.dataBuffer
            and not transport._tempDataLen
            and transport.connected
            and not transport.disconnecting
        ):
            # The hot path: nothing waits, so the socket is tried at once. As in `sendData`.
            try:
                taken = transport.socket.send(wire)
            except OSError:
                taken = 0
            if taken < len(wire):
                self._buffer(wire[taken:])
            return True
        waiting = self.backlog
        if waiting and waiting + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def cut(self) -> None:
        transport = self.transport
        if transport is None:
            return
        try:
            transport.abortConnection()
        except Exception:  # noqa: BLE001 - uvloop closes its handle of a reset socket without a report
            self._lose()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        transport = self.transport
        if (
            not self._direct
            or sync
            or chopsize
            or self.send_queue
            or not transport.connected
            or transport.disconnecting
        ):
            super().sendData(data, sync, chopsize)
            return
        if transport._tempDataLen or len(transport.dataBuffer) != transport.offset:
            self._buffer(data)
            return
        # Twisted's own `writeSomeData` does the same and takes 2 microseconds more.
        try:
            taken = transport.socket.send(data)
        except OSError:
            # The socket is full, or lost: buffering makes the reactor try again, notice and report it.
            taken = 0
        if taken < len(data):
            self._buffer(data[taken:])

    def _buffer(self, data: bytes) -> None:
        """Have the reactor write the rest; if it cannot watch the socket any more, the socket is lost."""
        try:
            self.transport.write(data)
        except Exception:  # noqa: BLE001 - uvloop closes its handle of a socket that was reset, without a report
            self.transport.reactor.callLater(0, self._lose)

    def _lose(self) -> None:
        """Report the loss of a transport whose own report fails."""
        transport = self.transport
        lost = Failure(ConnectionLost())  # type: ignore[no-untyped-call]  # Twisted's is untyped
        try:
            transport.connectionLost(lost)
        except Exception:
            logger.debug("a lost transport did not report itself", exc_info=True)
            if hasattr(transport, "protocol"):
                # It failed before it told the protocol, which is what releases everything.
                attempt(self.connectionLost, lost)
                attempt(transport.socket.close)

    def handle_exception(self, exception: BaseException) -> None:
        # Daphne's checker of all applications ends with an exception here.
        try:
            super().handle_exception(exception)
        except Exception:
            logger.exception("a socket of an application that failed was not closed properly")
            self.cut()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Daphne's, which drops empty messages; ASGI does not (five cases of the Autobahn suite)."""
        if message["type"] == "websocket.send" and self.state == self.STATE_OPEN:
            text = message.get("text")
            data = message.get("bytes")
            if text == "" and data is None:
                self.sendMessage(b"", False)
                return
            if data == b"" and text is None:
                self.sendMessage(b"", True)
                return
        if message["type"] == "websocket.close" and self.state not in (self.STATE_CONNECTING, self.STATE_OPEN):
            return
        super().handle_reply(message)


def read_in_small_pieces() -> None:
    """Set how much this process reads from a socket at once: as much as a control message may have."""
    Server.bufferSize = READ_BYTES


def protocol_of(factory: WebSocketFactory, bounds: Bounds) -> type[DirectProtocol]:
    """The protocol class for a factory: what autobahn sets on every connection, set once on the class."""
    sample = WebSocketProtocol()
    sample.factory = factory
    sample.openHandshakeTimeout = 0  # or it would start a timer
    sample._connectionMade()
    # A function on a class would become its method: autobahn's callbacks take no connection.
    shared = {
        name: staticmethod(value) if isinstance(value, FunctionType) else value
        for name, value in vars(sample).items()
        if name not in _OWN
    }
    shared["openHandshakeTimeout"] = factory.openHandshakeTimeout
    shared["bounds"] = bounds
    return type("DirectProtocol", (DirectProtocol,), shared)


# Set on each connection, or replaced by this module.
_OWN = {"factory", "is_open", "is_closed", "send_queue", "utf8validator", "_transport_details"}


class _Path(NamedTuple):
    """What Daphne reads of the request after the handshake."""

    path: str


def _limit_unsent(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    except OSError:
        # A Unix socket, or a system without the option: the kernel's buffer is its default.
        return
