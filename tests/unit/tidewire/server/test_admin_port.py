"""The metrics of a node: its own, and none that only pages or the relay know."""

from types import SimpleNamespace

import pytest

from deploy.prometheus.metrics_page import exported
from tidewire import metrics
from tidewire.server.admin_port import AdminPort


@pytest.fixture
def scraped():
    """Return the response to /metrics, without a socket."""
    port = AdminPort(SimpleNamespace(), lambda: None, lambda: None)
    request = SimpleNamespace(path=b"/metrics", setHeader=lambda *_header: None)
    return port.render_GET(request).decode()


@pytest.mark.parametrize("metric", metrics.NOT_NODE_METRICS, ids=exported)
def test_nothing_of_pages_or_of_the_relay_is_told(scraped, metric):
    """A node's zero would hide that the real metric is missing, or be read as a time in 1970."""
    assert f"# HELP {metric.describe()[0].name}" not in scraped


@pytest.mark.parametrize("metric", metrics.NODE_METRICS, ids=exported)
def test_everything_of_a_node_is(scraped, metric):
    """Each metric has its name and help text."""
    assert f"# HELP {metric.describe()[0].name}" in scraped


def ready(drainer, **reached):
    codes = []
    port = AdminPort(drainer, lambda: None, lambda: None, **reached)
    request = SimpleNamespace(path=b"/readyz", setHeader=lambda *_header: None, setResponseCode=codes.append)
    text = port.render_GET(request).decode().strip()
    return codes[0], text


def test_a_node_that_has_never_reached_redis_is_alive_and_not_ready():
    """With the password before a rotation a node starts, listens, and would show old values to each new socket."""
    listening = SimpleNamespace(ready=True, state="listening")
    assert ready(listening, reached_redis=lambda: False) == (503, "starting: Redis has not answered yet")
    assert ready(listening, reached_redis=lambda: True) == (200, "listening")


def test_a_draining_node_is_not_ready_whatever_redis_does():
    draining = SimpleNamespace(ready=False, state="draining")
    assert ready(draining, reached_redis=lambda: False) == (503, "draining")
