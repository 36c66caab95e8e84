"""`/metrics` of a Gunicorn service: the sum over its processes.

"Multiprocess Mode" in the documentation of prometheus_client describes the sum.
"""

import logging
import os
from collections.abc import Iterable

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tidewire import metric_owners
from tidewire.publishing import outbox

logger = logging.getLogger(__name__)

_excluded = metric_owners.families(metric_owners.NOT_PAGE_METRICS)


class _PageCollector(MultiProcessCollector):
    """All processes of the service, without the metrics that only a ws node or the relay can measure."""

    def collect(self) -> Iterable[Metric]:
        return [metric for metric in super().collect() if metric.name not in _excluded]  # type: ignore[no-untyped-call]


def metrics_view(_request: HttpRequest) -> HttpResponse:
    """Return Prometheus text; with PROMETHEUS_MULTIPROC_DIR, for all processes of the service.

    A project should serve it only to Prometheus: nginx or the network must refuse other clients.

    Returns:
        The response, also if the database is unavailable.

    Example:
        >>> from django.test import RequestFactory
        >>> from django.urls import path
        >>> urlpatterns = [path("metrics", metrics_view)]
        >>> b"tidewire_outbox_waiting 0.0" in metrics_view(RequestFactory().get("/metrics")).content
        True

    """
    try:
        outbox.count_waiting()
    except DatabaseError as error:
        # A scrape must also work during an outage of the database.
        logger.warning("the outbox could not be counted: %s", type(error).__name__)
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        _PageCollector(registry)  # type: ignore[no-untyped-call]
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
