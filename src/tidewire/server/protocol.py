"""All private names of Daphne, autobahn and Twisted that tidewire uses.

`tests/unit/tidewire/server/test_protocol.py` fails if an upgrade moves any of them.
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

from tidewire.asgi import ABNORMAL_CLOSURE
from tidewire.fanout.connection import Connection, attempt
from tidewire.fanout.frames import frame
from tidewire.server.foreign_sockets import ForeignSocket
from tidewire.server.inbound import InboundLimits, LimitedProtocol
from tidewire.server.inbox import Inbox

logger = logging.getLogger(__name__)

# Linux's number for the option, which Python's `socket` module does not define. On other systems the kernel's default
# send buffer is used.
TCP_NOTSENT_LOWAT = 25
# The kernel may buffer this much unsent data per socket: enough for any event, and little memory for a stalled reader.
NOTSENT_BYTES = 16 * 1024


# Size of the buffer that Twisted allocates for each read, before the length of the data is known. With Twisted's 64 KiB
# the heap fragments: RSS grew by 1 KiB for each connection that was opened and closed.
READ_BYTES = 4096


# Attributes that an open connection needs, out of about a hundred that autobahn and Daphne set. The others are
# constants of the class or are used by the handshake only.
_OPEN_ATTRIBUTES = (
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
    "foreign",
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


# Twelve bytes, the length that autobahn expects of its own pings. The content has no meaning.
_PING_BODY = b"tidewireping"
_PING_FRAME = b"\x89\x0c" + _PING_BODY

OPEN = WebSocketProtocol.STATE_OPEN

# After the close handshake the client may take this long to read the data written before it.
LAST_BYTES_SECONDS = 5.0
# Time for the client's answer to a close. Then the connection is reset, and a reset discards the bytes that the client
# has not read, the close code among them: after autobahn's 1 s a busy browser or a slow network saw 1006.
CLOSE_ANSWER_SECONDS = 5.0


class _NullDeferred:
    """Placeholder for a Deferred that has no callbacks."""

    def callback(self, _result: Any) -> None: ...

    def errback(self, _failure: Any) -> None: ...


_NULL_DEFERRED = _NullDeferred()


class DirectProtocol(LimitedProtocol):
    """Daphne's WebSocket protocol, which writes to the socket directly when its buffer is empty.

    All bytes that autobahn sends (data, ping, close) pass through `sendData`, which preserves their order. Implements
    `tidewire.fanout.connection.Writer`. Created for a factory by `create_protocol_class`.
    """

    # True if prepared frames can be written unchanged; set after the handshake has negotiated compression or none.
    _plain = False
    # Only chopped and synchronous writes use the queue, and Daphne requests neither. A deque takes 760 bytes.
    send_queue: Any = ()
    # Deferreds that autobahn provides for applications. Daphne does not use them.
    is_open: Any = _NULL_DEFERRED
    is_closed: Any = _NULL_DEFERRED
    _transport_details: Any = None
    request: Any
    _connection: Connection | None = None
    # Set while the socket is no live consumer's.
    foreign: ForeignSocket | None = None
    closed_by_server: int | None = None

    def code_of(self, code: int | None) -> int:
        # A client that is slow to answer a drain's close frame was sent the code nevertheless.
        return self.closed_by_server if self.closed_by_server and code == ABNORMAL_CLOSURE else super().code_of(code)

    def __init__(self) -> None:
        """Skip autobahn's `__init__`, which creates two Deferreds, a list, a dict and an object that are never used."""

    def _connectionMade(self) -> None:
        """Replace autobahn's method: the initial values are class attributes, and no debug text is formatted."""
        self.factory.countConnections += 1
        if self.openHandshakeTimeout > 0:
            self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                self.openHandshakeTimeout, self.onOpenHandshakeTimeout
            )

    def serverAccept(self, subprotocol: str | None = None) -> None:
        super().serverAccept(subprotocol)
        if self.state == OPEN:
            self._plain = self._direct and self._perMessageCompress is None
            self._drop_handshake_attributes()
            if self.foreign is not None:
                self.foreign.opened()

    def serverReject(self) -> None:
        if self.foreign is not None:
            self.foreign.rejected()
        super().serverReject()

    def claim(self, consumer: str | None) -> None:
        """Name the class of consumers that serves this socket; None: a live consumer, which is not foreign."""
        if self.foreign is None:
            return
        if consumer is None:
            self.server.foreign.discard(self.foreign)
            self.foreign = None
        else:
            self.foreign.consumer = consumer

    def claim_task(self, task: Any) -> None:
        """Add a task that sends only to this socket."""
        if self.foreign is not None:
            self.foreign.tasks = (*self.foreign.tasks, task)

    def add_cleanup(self, callback: Callable[[], object]) -> None:
        """Call `callback` when the socket has ended."""
        if self.foreign is not None:
            self.foreign.add_cleanup(callback)

    def _drop_handshake_attributes(self) -> None:
        self.request = _Path(self.request.path)
        attributes = self.__dict__
        self.__dict__ = {name: attributes[name] for name in _OPEN_ATTRIBUTES if name in attributes}

    @property
    def utf8validator(self) -> Any:
        """Autobahn's validator, created when the first message arrives."""
        validator = self.__dict__.get("_validator")
        if validator is None:
            validator = self._validator = Utf8Validator()  # type: ignore[no-untyped-call]
        return validator

    def connectionMade(self) -> None:
        super().connectionMade()
        # Daphne leaves the HTTP channel registered as the transport's producer. The channel takes 8 KB per socket, and
        # would stop reading from a client that reads slowly.
        self.transport.unregisterProducer()
        # TLS wraps the transport, so bytes must go through its `write`.
        self._direct = hasattr(self.transport, "socket") and hasattr(self.transport, "dataBuffer")
        if self._direct:
            _limit_unsent(self.transport.socket)

    def _sendAutoPing(self) -> None:
        """Send autobahn's automatic ping as one shared frame: a pong only has to match the pending ping."""
        self.autoPingPendingCall = None
        self.autoPingPending = _PING_BODY
        self.sendData(_PING_FRAME)
        if self.autoPingTimeout:
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )

    def bind(self, connection: Connection) -> None:
        """Call `connection.end` when the transport is lost, before and independently of the application."""
        if self.state == self.STATE_OPEN:
            self._connection = connection
        else:
            connection.end(ABNORMAL_CLOSURE)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.end(self.code_of(code))
        if self.foreign is not None:
            self.server.foreign.closed(self.foreign, self.code_of(code))
        super().onClose(wasClean, code, reason)

    def _closeConnection(self, abort: bool = False) -> None:
        super()._closeConnection(abort)
        if not abort and self.backlog:
            # A client that starts the close handshake and then stops reading could otherwise keep its socket open
            # indefinitely.
            self.factory._batched_timer.call_later(LAST_BYTES_SECONDS, self.abort)

    def detach(self, handle: Callable[[dict[str, Any]], Awaitable[None]], flood: Callable[[], None]) -> None:
        """Pass all further messages to `handle`, so that the application can return while the socket is open."""
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
        # Over TLS the encrypted bytes are buffered in the transport below.
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

    def try_write(self, frames: list[Any], wire: bytes, limit: int) -> bool:
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
            # Hot path: the buffer is empty, so write to the socket directly. `sendData` does the same.
            try:
                sent = transport.socket.send(wire)
            except OSError:
                sent = 0
            if sent < len(wire):
                self._buffer(wire[sent:])
            return True
        waiting = self.backlog
        if waiting and waiting + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def abort(self) -> None:
        transport = self.transport
        if transport is None:
            return
        try:
            transport.abortConnection()
        except Exception:  # noqa: BLE001 - uvloop closes its handle of a reset socket without a report
            self._report_loss()

    def close_by_server(self, code: int) -> None:
        """Start the close handshake with any code of the protocol. autobahn's own method refuses 1012 and 1013."""
        if self.state == OPEN:
            self.sendCloseFrame(code=code, isReply=False)
            self.closed_by_server = code

    def close_at_once(self, code: int) -> None:
        """Close a socket whose client does not read: the code is the application's, as the client cannot get it."""
        if self.state == OPEN:
            self.failedByMe = True
            self.sendCloseFrame(code=code, isReply=False)
            self.abort()

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
        # Equivalent to Twisted's `writeSomeData`, which takes 2 microseconds longer.
        try:
            sent = transport.socket.send(data)
        except OSError:
            # The socket is full or lost. Buffering the data makes the reactor retry, and detect and report a loss.
            sent = 0
        if sent < len(data):
            self._buffer(data[sent:])

    def _buffer(self, data: bytes) -> None:
        """Let the reactor write the rest. If the reactor can no longer watch the socket, the socket is lost."""
        try:
            self.transport.write(data)
        except Exception:  # noqa: BLE001 - uvloop closes its handle of a socket that was reset, without a report
            self.transport.reactor.callLater(0, self._report_loss)

    def _report_loss(self) -> None:
        """Report the loss of a transport that fails to report it."""
        transport = self.transport
        lost = Failure(ConnectionLost())  # type: ignore[no-untyped-call]  # Twisted's is untyped
        try:
            transport.connectionLost(lost)
        except Exception:
            logger.debug("a lost transport did not report itself", exc_info=True)
            if hasattr(transport, "protocol"):
                # The report failed before it reached the protocol, which releases all resources of the connection.
                attempt(self.connectionLost, lost)
                attempt(transport.socket.close)

    def handle_exception(self, exception: BaseException) -> None:
        # Daphne's check of all applications raises an exception at this connection.
        try:
            super().handle_exception(exception)
        except Exception:
            logger.exception("a socket of an application that failed was not closed properly")
            self.abort()

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Daphne's method, which drops empty messages; ASGI requires them (five cases of the Autobahn suite)."""
        if message["type"] == "websocket.send" and self.state == self.STATE_OPEN:
            text = message.get("text")
            data = message.get("bytes")
            if text and data is None and self._plain and not self.send_state:
                # As `sendMessage` does for a message in one frame, without autobahn's options.
                self.sendData(frame(text).wire)
                return
            if text == "" and data is None:
                self.sendMessage(b"", False)
                return
            if data == b"" and text is None:
                self.sendMessage(b"", True)
                return
        if message["type"] == "websocket.close":
            if self.state not in (self.STATE_CONNECTING, self.STATE_OPEN):
                return
            if self.foreign is not None:
                self.foreign.closing(message.get("code") or 1000)
        super().handle_reply(message)


def limit_read_size() -> None:
    """Set the maximum number of bytes per read from a socket to the maximum size of a control message."""
    Server.bufferSize = READ_BYTES


def create_protocol_class(
    factory: WebSocketFactory, limits: InboundLimits, base: type[DirectProtocol] = DirectProtocol
) -> type[DirectProtocol]:
    """Create the protocol class for a factory, with the attributes that autobahn would set on every connection."""
    sample = WebSocketProtocol()
    sample.factory = factory
    sample.openHandshakeTimeout = 0  # otherwise a timer would start
    sample._connectionMade()
    # A plain function on a class would become a method, but autobahn's callbacks take no connection.
    shared = {
        name: staticmethod(value) if isinstance(value, FunctionType) else value
        for name, value in vars(sample).items()
        if name not in _NOT_SHARED
    }
    shared["openHandshakeTimeout"] = factory.openHandshakeTimeout
    shared["closeHandshakeTimeout"] = CLOSE_ANSWER_SECONDS
    shared["limits"] = limits
    return type(base.__name__, (base,), shared)


# Attributes that are set on each connection, or replaced by this module.
_NOT_SHARED = {"factory", "is_open", "is_closed", "send_queue", "utf8validator", "_transport_details"}


class _Path(NamedTuple):
    """The parts of the request that Daphne reads after the handshake."""

    path: str


def _limit_unsent(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_BYTES)
    except OSError:
        # A Unix socket, or a system without the option: keep the kernel's default buffer.
        return
