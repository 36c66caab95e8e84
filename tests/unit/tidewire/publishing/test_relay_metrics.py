"""The metrics of the relay's port: its own, those of publishing, and none of nodes or pages."""

import pytest
from prometheus_client import generate_latest

from deploy.prometheus.metrics_page import OWNERS, exported
from tidewire import metric_owners, metrics
from tidewire.publishing import relay_metrics

MINE = (*metric_owners.RELAY_METRICS, *metric_owners.PAGE_AND_RELAY_METRICS, metrics.REDIS_ERRORS, metrics.DROPPED)
OTHERS = [metric for owner, own in OWNERS.items() if "relay" not in owner for metric in own]


@pytest.fixture(scope="module")
def page():
    return generate_latest(relay_metrics.registry()).decode()


@pytest.mark.parametrize("metric", MINE, ids=exported)
def test_what_the_relay_does_is_told_from_the_start(page, metric):
    """The value must be zero, because a metric that first appears as 1 is no increase for Prometheus."""
    assert f"\n{exported(metric)}" in page


@pytest.mark.parametrize("metric", OTHERS, ids=exported)
def test_what_others_do_is_not(page, metric):
    """The relay's zeros could be mistaken for those of a node or a page."""
    assert f"# HELP {metric.describe()[0].name}" not in page


def test_what_the_process_uses_is_told(page):
    """Memory, CPU and start time, as on a node."""
    assert "\nprocess_start_time_seconds " in page
