"""The metrics of a node: its own, and none that only pages or the relay know."""

from types import SimpleNamespace

import pytest

from deploy.prometheus.metrics_page import exported
from tidewire import metric_owners
from tidewire.server.admin_port import AdminPort


@pytest.fixture
def scraped():
    """Return the response to /metrics, without a socket."""
    port = AdminPort(SimpleNamespace(), lambda: None, lambda: None)
    request = SimpleNamespace(path=b"/metrics", setHeader=lambda *_header: None)
    return port.render_GET(request).decode()


@pytest.mark.parametrize("metric", metric_owners.NOT_NODE_METRICS, ids=exported)
def test_nothing_of_pages_or_of_the_relay_is_told(scraped, metric):
    """A node's zero would hide that the real metric is missing, or be read as a time in 1970."""
    assert f"# HELP {metric.describe()[0].name}" not in scraped


@pytest.mark.parametrize("metric", metric_owners.NODE_METRICS, ids=exported)
def test_everything_of_a_node_is(scraped, metric):
    """Each metric has its name and help text."""
    assert f"# HELP {metric.describe()[0].name}" in scraped
