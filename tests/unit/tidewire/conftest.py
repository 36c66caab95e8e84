"""Unit tests of the library run on a clock that jumps, with stores in memory instead of Redis."""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace

import pytest

from tests.unit.tidewire.clock import JumpingLoop
from tidewire import conf, consumers
from tidewire.auth import session_watch
from tidewire.fanout import connection
from tidewire.server import node as node_module
from tidewire.testing import MemoryEditLeases, MemoryPresence, MemoryStreams


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}


@pytest.fixture
def configure(settings):
    """Set some of the library's settings, before the node is created."""

    def configure(**given: object) -> None:
        settings.TIDEWIRE = settings.TIDEWIRE | given
        conf.settings.cache_clear()

    conf.settings.cache_clear()
    yield configure
    conf.settings.cache_clear()


@pytest.fixture
async def here(monkeypatch, settings, configure):
    """Create the test's node, with stores in memory that use the loop's clock."""
    loop = asyncio.get_running_loop()
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    options = conf.settings()
    presence = MemoryPresence(
        lease_seconds=options.LEASE_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        indexes=options.PRESENCE_INDEXES,
        clock=loop.time,
    )
    monkeypatch.setattr(node_module, "presence_store", lambda: presence)
    leases = MemoryEditLeases(
        lease_seconds=options.EDIT_LEASE_SECONDS,
        answer_seconds=options.EDIT_ANSWER_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        changed=presence.bump,
        clock=loop.time,
    )
    monkeypatch.setattr(node_module, "edit_lease_store", lambda: leases)
    streams = MemoryStreams()
    monkeypatch.setattr(node_module, "stream_store", lambda: streams)
    for module in (connection, consumers, session_watch, node_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=loop.time, time=time.time))
    this_node = node_module.node()
    this_node.streams = streams
    yield this_node
    await this_node.stop()
