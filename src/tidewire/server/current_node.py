"""The node of this process, with the features that packages have registered.

There is one node per event loop, started at its first use, because Daphne has no ASGI lifespan.
"""

import asyncio
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from tidewire.conf import Settings, settings
from tidewire.fanout.connection import attempt
from tidewire.layers import require_layer
from tidewire.presence.redis import presence_store
from tidewire.server.node import F, FeatureFactory, Node
from tidewire.streams.redis import stream_store

_nodes: WeakKeyDictionary[asyncio.AbstractEventLoop, Node] = WeakKeyDictionary()
_registered: list[FeatureFactory] = []
_on_start: list[Callable[[Node], None]] = []


def register(feature: type[F]) -> type[F]:
    """Add a feature to each node of this process; a class decorator."""
    _registered.append(feature)
    return feature


def create_node(options: Settings, *, clock: Callable[[], float] = time.monotonic) -> Node:
    """Create a node with the stores and the layer of the settings, and with all registered features."""
    return Node(
        options,
        layer=require_layer(options.CHANNEL_LAYER),
        presence_store=presence_store(),
        streams=stream_store(),
        features=_registered,
        clock=clock,
    )


def node() -> Node:
    """Return the node of the running loop, started if necessary."""
    loop = asyncio.get_running_loop()
    if loop not in _nodes:
        set_node(create_node(settings()))
    return _nodes[loop]


def running_node() -> Node | None:
    """Return the node of the running loop, if one was started."""
    return _nodes.get(asyncio.get_running_loop())


def on_start(started: Callable[[Node], None]) -> None:
    """Call `started` with each node of this process when it starts, which is when the first consumer needs it."""
    _on_start.append(started)


def set_node(node: Node) -> None:
    """Let `node` return this node in the running loop."""
    _nodes[asyncio.get_running_loop()] = node
    for started in _on_start:
        attempt(started, node)
