"""The server takes what it needs before it serves."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf
from tidewire.server import TidewireServer


@pytest.fixture
def read_anew():
    """Settings are read once a process; these tests have their own."""
    conf.settings.cache_clear()
    yield
    conf.settings.cache_clear()


def test_a_project_without_settings_is_told_before_anything_is_served(settings, read_anew):
    """Once started, the error would leave a server that accepts sockets and never looks after them."""
    del settings.TIDEWIRE
    with pytest.raises(ImproperlyConfigured, match="TIDEWIRE is missing"):
        TidewireServer(lambda: None)


def test_a_client_that_left_during_the_handshake_is_not_kept():
    """Its application goes on and hands the socket over; nobody would ever take it off again."""
    server = TidewireServer(None, ["tcp:port=0:interface=127.0.0.1"])
    here, gone = object(), object()
    server.connections = {here: {}, gone: {"disconnected": 12.3}}
    server.detached(here)
    server.detached(gone)
    assert list(server._detached) == [here]
    # Daphne's checker ends what is left there.
    assert list(server.connections) == [gone]
    server.protocol_disconnected(here)
    assert not server._detached
