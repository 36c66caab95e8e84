"""Limits on connections that have not completed their request: time, size of the request, and number.

All private names of Twisted's HTTP channel are used here; `tests/unit/tidewire/server/test_handshake.py` guards them.
"""

from typing import TYPE_CHECKING, Any, Protocol

from twisted.web.http import _GenericHTTPChannelProtocol

from tidewire import metrics
from tidewire.refusals import log_refusal

if TYPE_CHECKING:
    HTTPChannel = Any  # Twisted types only half of it
else:
    from twisted.web.http import HTTPChannel


# nginx requests this before each handshake, to find a node that accepts connections and does not answer (deploy/nginx).
ALIVE_PATH = b"/tidewire-alive"
ALIVE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class _Refusable(Protocol):
    def refuse(self, limit: str, status: bytes) -> None: ...


class Handshakes:
    """Connections with an incomplete request, the oldest first.

    When the limit is exceeded, the oldest connection is closed. A client that opens many slow handshakes loses its own,
    and a client that sends its request at once can always connect.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[_Refusable, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, channel: _Refusable) -> None:
        """Add a connection that has not sent its request yet."""
        self._waiting[channel] = None
        if len(self._waiting) > self._limit:
            next(iter(self._waiting)).refuse("handshakes", b"503 Service Unavailable")

    def end(self, channel: _Refusable) -> None:
        """Remove a connection with a complete request, or one that is closed."""
        self._waiting.pop(channel, None)


class Channel(HTTPChannel):
    """Twisted's HTTP channel with a timeout for the complete request instead of for each read."""

    handshakes: Handshakes
    request_bytes: int
    _body_bytes = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.handshakes.begin(self)

    def resetTimeout(self) -> None:
        """Ignore the call: a client that sends one byte now and then must not extend its deadline."""

    def timeoutConnection(self) -> None:
        self._count_and_answer("handshake_seconds", b"408 Request Timeout")
        super().timeoutConnection()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._handlingRequest:
            self._body_bytes += len(data)
            if self._body_bytes > self.request_bytes:
                self.refuse("request_bytes", b"413 Content Too Large")
                return
        super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        metrics.LIMIT_REJECTIONS.labels("request").inc()
        log_refusal("request")
        super()._respondToBadRequestAndDisconnect()

    def allContentReceived(self) -> None:
        self._body_bytes = 0
        self.handshakes.end(self)
        if self._path == ALIVE_PATH:
            # Here, because a request of the application would cost as much as the handshake that follows.
            self.transport.write(ALIVE)
            self.loseConnection()
            return
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        super().requestDone(request)
        if self.persistent and not self._handlingRequest:
            self.handshakes.begin(self)

    def connectionLost(self, reason: Any) -> None:
        self.handshakes.end(self)
        super().connectionLost(reason)

    def refuse(self, limit: str, status: bytes) -> None:
        """Close the connection at a limit, with a response that names the limit."""
        self.handshakes.end(self)
        self._count_and_answer(limit, status)
        self.loseConnection()

    def _count_and_answer(self, limit: str, status: bytes) -> None:
        metrics.LIMIT_REJECTIONS.labels(limit).inc()
        log_refusal(limit)
        self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def limit_requests(http_factory: Any, *, seconds: float, limit: int, request_bytes: int) -> Handshakes:
    """Apply these limits to a listener's factory, and return the `Handshakes` that counts its connections."""
    handshakes = Handshakes(limit)
    channel_class = type("Channel", (Channel,), {"handshakes": handshakes, "request_bytes": request_bytes})
    http_factory.timeOut = seconds
    http_factory.protocol = lambda: _GenericHTTPChannelProtocol(channel_class())
    return handshakes
