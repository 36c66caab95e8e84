"""TCP connections that are no socket yet: each has so long and so many bytes for its request, and they are so many.

Every private name of Twisted's HTTP channel is touched here; `tests/unit/tidewire/test_handshake.py` guards them.
"""

from typing import TYPE_CHECKING, Any, Protocol

from twisted.web.http import _GenericHTTPChannelProtocol

from tidewire import metrics

if TYPE_CHECKING:
    HTTPChannel = Any  # half of it has no types
else:
    from twisted.web.http import HTTPChannel


class _Refusable(Protocol):
    def refuse(self, bound: str, status: bytes) -> None: ...


class Handshakes:
    """Connections whose request is not whole yet, longest waiting first.

    One too many ends the one that has waited longest: whoever opens slow handshakes loses them, and a client
    that sends its request at once is served whatever others do.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[_Refusable, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, channel: _Refusable) -> None:
        """A request is due from this connection."""
        self._waiting[channel] = None
        if len(self._waiting) > self._limit:
            next(iter(self._waiting)).refuse("handshakes", b"503 Service Unavailable")

    def end(self, channel: _Refusable) -> None:
        """Its request is whole, or it has gone."""
        self._waiting.pop(channel, None)


class Channel(HTTPChannel):
    """Twisted's HTTP channel, whose timeout is for the whole request instead of from byte to byte."""

    handshakes: Handshakes
    request_bytes: int
    _body_bytes = 0

    def connectionMade(self) -> None:
        super().connectionMade()
        self.handshakes.begin(self)

    def resetTimeout(self) -> None:
        """Nothing: a client that sends a byte now and then would have all the time in the world."""

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
        metrics.REFUSED.labels("request").inc()
        super()._respondToBadRequestAndDisconnect()

    def allContentReceived(self) -> None:
        self._body_bytes = 0
        self.handshakes.end(self)
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        super().requestDone(request)
        if self.persistent and not self._handlingRequest:
            self.handshakes.begin(self)

    def connectionLost(self, reason: Any) -> None:
        self.handshakes.end(self)
        super().connectionLost(reason)

    def refuse(self, bound: str, status: bytes) -> None:
        """End the connection at a bound, with an answer that says which."""
        self.handshakes.end(self)
        self._count_and_answer(bound, status)
        self.loseConnection()

    def _count_and_answer(self, bound: str, status: bytes) -> None:
        metrics.REFUSED.labels(bound).inc()
        self.transport.write(b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def bind(http_factory: Any, *, seconds: float, limit: int, request_bytes: int) -> Handshakes:
    """Give a listener's factory these bounds. Returns what counts its handshakes."""
    handshakes = Handshakes(limit)
    bounded = type("Channel", (Channel,), {"handshakes": handshakes, "request_bytes": request_bytes})
    http_factory.timeOut = seconds
    http_factory.protocol = lambda: _GenericHTTPChannelProtocol(bounded())
    return handshakes
