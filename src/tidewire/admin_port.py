"""The admin port of a ws process: health and metrics. It stays up through a drain and is never proxied."""

from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

if TYPE_CHECKING:
    from tidewire.drain import Drainer


class AdminPort(Resource):
    """`/healthz` (the loop runs), `/readyz` (new clients may come), `/metrics` (Prometheus text).

    None of them waits for Redis: a node without it keeps its sockets and is worth keeping.
    """

    isLeaf = True

    def __init__(self, drainer: "Drainer") -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._drainer = drainer

    def render_GET(self, request: Any) -> bytes:
        match request.path:
            case b"/healthz":
                return _text(request, 200, "alive")
            case b"/readyz":
                return _text(request, 200 if self._drainer.ready else 503, self._drainer.state)
            case b"/metrics":
                request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
                return generate_latest()
        return _text(request, 404, "healthz, readyz and metrics are here")


def listen(host: str, port: int, drainer: "Drainer") -> Any:
    """Serve the admin port. Returns Twisted's listening port."""
    site = Site(AdminPort(drainer))  # type: ignore[no-untyped-call]
    site.noisy = False
    return reactor.listenTCP(port, site, interface=host)  # type: ignore[arg-type]  # the stub takes it for a method's


def _text(request: Any, status: int, said: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    return f"{said}\n".encode()
