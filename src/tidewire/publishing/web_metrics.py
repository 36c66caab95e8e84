"""`/metrics` of a Gunicorn service: the sum over its processes.

"Multiprocess Mode" in the documentation of prometheus_client describes the sum.
"""

import logging
import os
import threading
from collections.abc import Iterable

from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tidewire import metrics
from tidewire.publishing import outbox

logger = logging.getLogger(__name__)

# A scrape must be answered within Prometheus's timeout, also if the database hangs.
COUNT_SECONDS = 1.0

_excluded = metrics.families(metrics.NOT_PAGE_METRICS)


class _PageCollector(MultiProcessCollector):
    """All processes of the service, without the metrics that only a ws node or the relay can measure."""

    def collect(self) -> Iterable[Metric]:
        return [metric for metric in super().collect() if metric.name not in _excluded]  # type: ignore[no-untyped-call]


class _OutboxCount:
    """Counts the outbox in a thread, one at a time, so that no scrape waits for a database that hangs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def update(self) -> None:
        """Update the metrics of the outbox. If the database does not answer in time, they keep their values."""
        if connection.vendor == "sqlite":
            # There is no server that could hang, and a database in memory exists for this thread only.
            _count()
            return
        with self._lock:
            # In the child of a fork the thread does not run.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=_count_and_close, name="tidewire-outbox-count", daemon=True)
                self._thread.start()
            thread = self._thread
        thread.join(COUNT_SECONDS)
        if thread.is_alive():
            logger.warning("the outbox could not be counted: no answer within %s s", COUNT_SECONDS)


def _count() -> None:
    try:
        outbox.count_waiting()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("the outbox could not be counted: %s", type(error).__name__)


def _count_and_close() -> None:
    try:
        _count()
    finally:
        connection.close()


_outbox_count = _OutboxCount()


def metrics_view(_request: HttpRequest) -> HttpResponse:
    """Return Prometheus text; with PROMETHEUS_MULTIPROC_DIR, for all processes of the service.

    A project should serve it only to Prometheus: nginx or the network must refuse other clients.

    Returns:
        The response, also if the database is unavailable or hangs.

    Example:
        >>> from django.test import RequestFactory
        >>> from django.urls import path
        >>> urlpatterns = [path("metrics", metrics_view)]
        >>> b"tidewire_outbox_waiting 0.0" in metrics_view(RequestFactory().get("/metrics")).content
        True

    """
    _outbox_count.update()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        _PageCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
