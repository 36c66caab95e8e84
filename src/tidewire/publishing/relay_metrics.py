"""`/metrics` of the relay, from a thread of its own: a scrape is answered while the relay waits."""

from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from tidewire import metrics

# Metrics of publishing, in addition to the relay's own.
_SHARED: tuple[Any, ...] = (
    metrics.PUBLISHED,
    metrics.DROPPED,
    metrics.REDIS_ERRORS,
    metrics.DATABASE_ERRORS,
    metrics.SECRET_INFO,
    metrics.REDIS_RECONNECTS,
)


def registry() -> CollectorRegistry:
    """Return the relay's metrics, without those of nodes and pages, which this process declares as well."""
    relay_registry = CollectorRegistry()
    for metric in (*metrics.RELAY_METRICS, *metrics.PAGE_AND_RELAY_METRICS, *_SHARED):
        relay_registry.register(metric)
    ProcessCollector(registry=relay_registry)
    return relay_registry


def listen(host: str, port: int) -> None:
    """Serve until the process ends. Raises `OSError` if the address is in use."""
    start_http_server(port, host, registry())
