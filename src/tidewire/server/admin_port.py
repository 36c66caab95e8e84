"""The admin port of a ws process: health and metrics. It stays open during a drain and must not be proxied."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from twisted.web.resource import Resource
from twisted.web.server import Site

from tidewire import metrics
from tidewire.server.drain import Drainer

_excluded = metrics.families(metrics.NOT_NODE_METRICS)

LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")


class _NodeRegistry(CollectorRegistry):
    """All metrics of this process except those of pages and the relay, which would be exported as zeros."""

    def collect(self) -> Iterable[Metric]:
        return [metric for metric in REGISTRY.collect() if metric.name not in _excluded]


class AdminPort(Resource):
    """`/healthz` (the event loop runs), `/readyz` (new clients can connect), `/metrics` (Prometheus text).

    No endpoint waits for Redis: a node keeps its sockets during an outage of Redis and should not be restarted. But a
    node that has never reached Redis since its start is not ready: its password may be the one before a rotation.
    """

    isLeaf = True

    def __init__(
        self,
        drainer: Drainer,
        start_drain: Callable[[], None],
        measure: Callable[[], None],
        reached_redis: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._drainer = drainer
        self._start_drain = start_drain
        self._measure = measure
        self._reached_redis = reached_redis

    def render_GET(self, request: Any) -> bytes:
        match request.path:
            case b"/healthz":
                return _text(request, 200, "alive")
            case b"/readyz":
                if self._drainer.ready and not self._reached_redis():
                    return _text(request, 503, "starting: Redis has not answered yet")
                return _text(request, 200 if self._drainer.ready else 503, self._drainer.state)
            case b"/metrics":
                self._measure()
                request.setHeader(b"content-type", CONTENT_TYPE_LATEST.encode())
                return generate_latest(_NodeRegistry())
        return _text(request, 404, "healthz, readyz and metrics are here")

    def render_POST(self, request: Any) -> bytes:
        """`/drain`, for an operator or a hook on this host; requests from other hosts are refused."""
        if request.path != b"/drain":
            return _text(request, 404, "only /drain takes a POST")
        if request.getClientAddress().host not in LOOPBACK:
            return _text(request, 403, "drain from this host only: python -m tidewire drain")
        if self._drainer.ready:
            self._start_drain()
        return _text(request, 202, "draining")


def listen(
    host: str,
    port: int,
    drainer: Drainer,
    start_drain: Callable[[], None],
    *,
    measure: Callable[[], None],
    reached_redis: Callable[[], bool],
) -> Any:
    """Serve the admin port; `measure` is called before each scrape. Returns Twisted's listening port."""
    # Imported late: an import before Daphne has chosen its reactor would install a different one.
    from twisted.internet import reactor  # noqa: PLC0415

    site = Site(AdminPort(drainer, start_drain, measure, reached_redis))  # type: ignore[no-untyped-call]
    site.noisy = False
    return reactor.listenTCP(port, site, interface=host)  # type: ignore[arg-type]  # the stub takes it for a method's


def _text(request: Any, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"text/plain; charset=utf-8")
    request.setHeader(b"cache-control", b"no-store")
    return f"{text}\n".encode()
