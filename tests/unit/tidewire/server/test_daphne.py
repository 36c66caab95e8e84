"""The server checks its requirements before it serves."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf
from tidewire.server.daphne import TidewireServer


@pytest.fixture
def read_anew():
    """Clear cached settings, because these tests have their own."""
    conf.settings.cache_clear()
    yield
    conf.settings.cache_clear()


def test_a_project_without_settings_is_told_before_anything_is_served(settings, read_anew):
    """After the start the server would accept sockets and never serve them."""
    del settings.TIDEWIRE
    with pytest.raises(ImproperlyConfigured, match="TIDEWIRE is missing"):
        TidewireServer(lambda: None)


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
