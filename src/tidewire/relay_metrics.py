"""`/metrics` of the relay, from a thread of its own: a scrape is answered while the relay waits."""

from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from tidewire import metrics

# What its publishing counts, besides its own.
_SHARED: tuple[Any, ...] = (metrics.PUBLISHED, metrics.DROPPED, metrics.REDIS_ERRORS, metrics.REDIS_RECONNECTS)


def registry() -> CollectorRegistry:
    """What the relay can say: nothing of nodes or pages, whose metrics it declares too."""
    made = CollectorRegistry()
    for metric in (*metrics.OF_THE_RELAY, *metrics.OF_PAGES_AND_THE_RELAY, *_SHARED):
        made.register(metric)
    ProcessCollector(registry=made)
    return made


def listen(host: str, port: int) -> None:
    """Serve until the process ends. Raises `OSError` where the address is taken."""
    start_http_server(port, host, registry())
