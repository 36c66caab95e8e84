"""Each event loop has one node, with the features that are registered."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from tidewire import conf
from tidewire.server.current_node import create_node, node


async def test_a_loop_has_one_node(here):
    """Consumers find the node without a parameter."""
    assert node() is here


async def test_a_layer_that_is_not_configured_stops_the_start(here, configure, settings):
    """The message names the layer."""
    configure(CHANNEL_LAYER="nothing")
    with pytest.raises(ImproperlyConfigured, match="CHANNEL_LAYERS has no 'nothing'"):
        create_node(conf.settings())
