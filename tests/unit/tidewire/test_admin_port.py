"""What a node's scrape brings: its own, and nothing that only pages or the relay can say."""

from types import SimpleNamespace

import pytest

from deploy.prometheus.metrics_page import exported
from tidewire import metrics
from tidewire.admin_port import AdminPort


@pytest.fixture
def scraped():
    """The answer to /metrics, without a socket."""
    port = AdminPort(SimpleNamespace(), lambda: None, lambda: None)
    request = SimpleNamespace(path=b"/metrics", setHeader=lambda *_header: None)
    return port.render_GET(request).decode()


@pytest.mark.parametrize("metric", metrics.OF_OTHERS_THAN_NODES, ids=exported)
def test_nothing_of_pages_or_of_the_relay_is_told(scraped, metric):
    """A zero of a node's would hide that theirs is gone, or be taken for a time in 1970."""
    assert f"# HELP {metric.describe()[0].name}" not in scraped


@pytest.mark.parametrize("metric", metrics.OF_NODES, ids=exported)
def test_everything_of_a_node_is(scraped, metric):
    """By its name and what it says."""
    assert f"# HELP {metric.describe()[0].name}" in scraped
