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
