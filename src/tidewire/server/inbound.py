"""Limits on the data that a WebSocket may send, starting with its handshake. Each has a close code and a counter.

Sockets of live consumers have tidewire's limits, applied before data is buffered. Sockets of other applications have
Daphne's limits.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketProtocol

from tidewire import metrics
from tidewire.asgi import ID_LENGTH, NO_STATUS
from tidewire.close_codes import CloseCode
from tidewire.refusals import log_refusal
from tidewire.server.inbox import Inbox


@dataclass(eq=False)
class InboundLimits:
    """The limits that all sockets of a server share, and their counters."""

    message_bytes: int
    frames_per_second: int
    # Number of sockets that wait for the application to accept them.
    # None: as many as there are.
    handshakes: int | None
    waiting: set[Any] = field(default_factory=set)
    # Frames per socket in the current second. A counter on each connection would use memory while the connection is
    # idle.
    frames: Counter[Any] = field(default_factory=Counter)


class LimitedProtocol(WebSocketProtocol):
    """Daphne's WebSocket protocol with limits on incoming data."""

    limits: InboundLimits
    application_queue: Any
    failedByMe: Any
    closedByMe: Any

    def onConnect(self, request: Any) -> Any:
        if self.limits.handshakes is not None and len(self.limits.waiting) >= self.limits.handshakes:
            metrics.LIMIT_REJECTIONS.labels("handshakes").inc()
            log_refusal("handshakes", request_id=self._request_id)
            # A proxy tries the next node after a 503.
            raise ConnectionDeny(503, "Service Unavailable")  # type: ignore[no-untyped-call]
        self.limits.waiting.add(self)
        return super().onConnect(request)

    def onOpenHandshakeTimeout(self) -> None:
        if self.state == self.STATE_CONNECTING:
            metrics.LIMIT_REJECTIONS.labels("application_seconds").inc()
            log_refusal("application_seconds", request_id=self._request_id)
            self.failHandshake("Service Unavailable", 503)

    def serverAccept(self, subprotocol: str | None = None) -> None:
        self.limits.waiting.discard(self)
        super().serverAccept(subprotocol)

    def code_of(self, code: int | None) -> int:
        """Return the close code of a closed socket; `code` is the one that autobahn reports."""
        if (self.failedByMe or self.closedByMe) and self.localCloseCode:
            # The close frame was sent, but the connection may have ended before the reply.
            return int(self.localCloseCode)
        return NO_STATUS if code is None else code

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        self.limits.waiting.discard(self)
        code = self.code_of(code)
        # Daphne's method assumes that the handshake has reached `onConnect`.
        if "server" in self.__dict__:
            super().onClose(wasClean, code, reason)

    def dataReceived(self, data: bytes) -> None:
        if self.limits.handshakes is not None and self.state == self.STATE_CONNECTING and self in self.limits.waiting:
            # The request is complete. A client must wait for the response; data sent before it would accumulate.
            metrics.LIMIT_REJECTIONS.labels("request").inc()
            log_refusal("request", request_id=self._request_id)
            self.failHandshake("Bad Request", 400)
            return
        if self.failedByMe:
            # After a limit is exceeded, discard all input until the close handshake times out: parsing a flood has a
            # cost.
            return
        # Bypass autobahn's debug line, which is formatted before the log level is checked.
        self._dataReceived(data)

    def onFrameBegin(self) -> None:
        super().onFrameBegin()
        if self._live:
            self.limits.frames[self] += 1
            if self.limits.frames[self] > self.limits.frames_per_second:
                self._end(CloseCode.FLOODING, "frames_per_second")

    def onMessageFrameBegin(self, length: int) -> None:
        # Checked before autobahn's own limit, which drops the connection without a close code.
        if self._live and self.message_data_total_length + length > self.limits.message_bytes:
            self._end(CloseCode.TOO_LARGE, "message_bytes")
        super().onMessageFrameBegin(length)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        metrics.LIMIT_REJECTIONS.labels("message_bytes").inc()
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def _protocol_violation(self, reason: str) -> bool:
        # autobahn drops the connection without a close frame, so no close code shows the reason.
        metrics.LIMIT_REJECTIONS.labels("protocol").inc()
        return super()._protocol_violation(reason)  # type: ignore[no-any-return]

    @property
    def _request_id(self) -> str:
        """The id that nginx gave to this handshake."""
        return str(getattr(self, "http_headers", {}).get("x-request-id", ""))[:ID_LENGTH]

    @property
    def _live(self) -> bool:
        return type(self.__dict__.get("application_queue")) is Inbox

    def _end(self, code: CloseCode, limit: str) -> None:
        """Start the close handshake, once; all pending and further input is discarded."""
        if self.failedByMe or self.state != self.STATE_OPEN:
            return
        metrics.LIMIT_REJECTIONS.labels(limit).inc()
        self.failedByMe = True
        self.data = b""
        self.sendCloseFrame(code=int(code), reasonUtf8=code.meaning.encode(), isReply=False)
