"""The metrics of the relay's port: its own, those of publishing, and none of nodes or pages."""

import pytest
from prometheus_client import generate_latest

from deploy.prometheus.metrics_page import OWNERS, exported
from tidewire import metrics
from tidewire.publishing import relay_metrics

MINE = (*metrics.RELAY_METRICS, *metrics.PAGE_AND_RELAY_METRICS, metrics.REDIS_ERRORS, metrics.DROPPED)
OTHERS = [metric for who, own in OWNERS.items() if "relay" not in who for metric in own]


@pytest.fixture(scope="module")
def told():
    return generate_latest(relay_metrics.registry()).decode()


@pytest.mark.parametrize("metric", MINE, ids=exported)
def test_what_the_relay_does_is_told_from_the_start(told, metric):
    """The value must be zero, because a metric that first appears as 1 is no increase for Prometheus."""
    assert f"\n{exported(metric)}" in told


@pytest.mark.parametrize("metric", OTHERS, ids=exported)
def test_what_others_do_is_not(told, metric):
    """The relay's zeros could be mistaken for those of a node or a page."""
    assert f"# HELP {metric.describe()[0].name}" not in told


def test_what_the_process_uses_is_told(told):
    """Memory, CPU and start time, as on a node."""
    assert "\nprocess_start_time_seconds " in told
