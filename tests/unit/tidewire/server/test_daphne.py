"""The server checks its requirements before it serves."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf
from tidewire.consumers import LiveConsumer
from tidewire.server.consumer_loop import ConsumerLoop
from tidewire.server.daphne import TidewireServer


@pytest.fixture
def read_anew():
    """Clear cached settings, because these tests have their own."""
    conf.settings.cache_clear()
    conf.server_settings.cache_clear()
    yield
    conf.settings.cache_clear()
    conf.server_settings.cache_clear()


def test_a_project_with_live_consumers_and_no_settings_is_told_before_anything_is_served(settings, read_anew):
    """After the start the server would accept sockets and never serve them."""

    class NewsConsumer(LiveConsumer):
        """Needs a node, and its node a Redis."""

    del settings.TIDEWIRE
    with pytest.raises(ImproperlyConfigured, match="TIDEWIRE is missing"):
        TidewireServer(lambda: None, ["tcp:port=0:interface=127.0.0.1"])


def test_a_project_of_other_consumers_needs_no_settings(settings, read_anew, monkeypatch):
    """Nothing of a stock project needs a Redis of tidewire."""
    monkeypatch.setattr(ConsumerLoop, "__subclasses__", list)
    del settings.TIDEWIRE
    server = TidewireServer(lambda: None, ["tcp:port=0:interface=127.0.0.1"])
    assert server.http_timeout is None, "as stock Daphne: an answer has no deadline"


def test_a_client_that_left_during_the_handshake_is_not_kept():
    """The client's application continues and hands the socket over, but no disconnect would ever remove it."""
    server = TidewireServer(None, ["tcp:port=0:interface=127.0.0.1"])
    here, gone = object(), object()
    server.connections = {here: {}, gone: {"disconnected": 12.3}}
    server.detached(here)
    server.detached(gone)
    assert list(server._detached) == [here]
    # Daphne's checker ends the connections that remain in this dict.
    assert list(server.connections) == [gone]
    server.protocol_disconnected(here)
    assert not server._detached


@pytest.mark.parametrize(("seconds", "warned"), [(20, False), (59, False), (60, True), (300, True)])
def test_pings_that_come_after_the_proxy_s_timeout_are_a_warning(caplog, seconds, warned):
    """The proxy ends an idle connection with 1006, and users see a reconnect every minute."""
    TidewireServer(None, ["tcp:port=0:interface=127.0.0.1"], ping_interval=seconds)
    assert ("tidewire.W018" in caplog.text) == warned
