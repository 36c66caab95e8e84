"""What a websocket may send, from its handshake on: each bound with its code and its count.

A live consumer's socket has tidewire's bounds, kept before anything is buffered; any other application's has Daphne's.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol

from tidewire import metrics
from tidewire.asgi import NO_CODE
from tidewire.close_codes import CloseCode
from tidewire.inbox import Inbox


@dataclass(eq=False)
class Bounds:
    """The bounds that a server's sockets share, and what they are counted in."""

    message_bytes: int
    frames_per_second: int
    # Sockets that wait for the application to accept them.
    handshakes: int
    waiting: set[Any] = field(default_factory=set)
    # Frames of each socket in the running second: a number on every connection would cost memory when it is idle.
    frames: Counter[Any] = field(default_factory=Counter)


class BoundedProtocol(WebSocketProtocol):
    """Daphne's websocket protocol with bounds on what comes in."""

    bounds: Bounds
    application_queue: Any
    failedByMe: Any

    def onConnect(self, request: Any) -> Any:
        if len(self.bounds.waiting) >= self.bounds.handshakes:
            metrics.REFUSED.labels("handshakes").inc()
            # A proxy passes over a node that says 503.
            raise ConnectionDeny(503, "Service Unavailable")  # type: ignore[no-untyped-call]
        self.bounds.waiting.add(self)
        return super().onConnect(request)

    def onOpenHandshakeTimeout(self) -> None:
        if self.state == self.STATE_CONNECTING:
            metrics.REFUSED.labels("application_seconds").inc()
            self.failHandshake("Service Unavailable", 503)

    def serverAccept(self, subprotocol: str | None = None) -> None:
        self.bounds.waiting.discard(self)
        super().serverAccept(subprotocol)

    def code_of(self, code: int | None) -> int:
        """The close code of a socket that has closed, of which autobahn says `code`."""
        if self.failedByMe and self.localCloseCode:
            # The answer to our close was not waited for.
            return int(self.localCloseCode)
        return NO_CODE if code is None else code

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.bounds.waiting.discard(self)
        code = self.code_of(code)
        # Daphne's takes for granted that the handshake came as far as `onConnect`.
        if "server" in self.__dict__:
            super().onClose(wasClean, code, reason)

    def dataReceived(self, data: bytes) -> None:
        if self.state == self.STATE_CONNECTING and self in self.bounds.waiting:
            # The request is whole, and the client must wait for its answer: what it says before would pile up.
            metrics.REFUSED.labels("request").inc()
            self.failHandshake("Bad Request", 400)
            return
        if self.failedByMe:
            # Whoever met a bound is heard no more until the close's time is up: to parse a flood is to suffer it.
            return
        # Without autobahn's debug line, which it formats before it asks whether anybody listens.
        self._dataReceived(data)

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        if self._live:
            self.bounds.frames[self] += 1
            if self.bounds.frames[self] > self.bounds.frames_per_second:
                self._end(CloseCode.FLOODING, "frames_per_second")

    def onMessageFrameBegin(self, length: int) -> None:
        # Before autobahn's own bound, which drops the connection without a code.
        if self._live and self.message_data_total_length + length > self.bounds.message_bytes:
            self._end(CloseCode.TOO_LARGE, "message_bytes")
        super().onMessageFrameBegin(length)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        metrics.REFUSED.labels("message_bytes").inc()
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def _protocol_violation(self, reason: str) -> bool:
        # autobahn drops the connection without a close frame, so no close code tells of it.
        metrics.REFUSED.labels("protocol").inc()
        return super()._protocol_violation(reason)  # type: ignore[no-any-return]

    @property
    def _live(self) -> bool:
        return type(self.__dict__.get("application_queue")) is Inbox

    def _end(self, code: CloseCode, bound: str) -> None:
        """Close, once; nothing that came or still comes is looked at."""
        if self.failedByMe or self.state != self.STATE_OPEN:
            return
        metrics.REFUSED.labels(bound).inc()
        self.failedByMe = True
        self.data = b""
        self.sendCloseFrame(code=int(code), reasonUtf8=code.meaning.encode(), isReply=False)
