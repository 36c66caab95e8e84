"""Unit tests of the library run on a clock that jumps, with stores in memory instead of Redis."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from channels.layers import InMemoryChannelLayer

from tests.unit.tidewire.clock import JumpingLoop
from tidewire import conf
from tidewire.auth.feature import SessionFeature
from tidewire.contrib.edit_lease.feature import EditLeaseFeature
from tidewire.server.current_node import set_node
from tidewire.server.node import Node
from tidewire.testing import MemoryEditLeases, MemoryPresence, MemoryStreams


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}


@pytest.fixture
def configure(settings):
    """Set some of the library's settings, before the node is created."""

    def configure(**values: object) -> None:
        settings.TIDEWIRE = settings.TIDEWIRE | values
        conf.settings.cache_clear()

    conf.settings.cache_clear()
    yield configure
    conf.settings.cache_clear()


@pytest.fixture
async def here(configure):
    """Create the test's node, with stores in memory that use the loop's clock."""
    loop = asyncio.get_running_loop()
    options = conf.settings()
    presence = MemoryPresence(
        lease_seconds=options.LEASE_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        indexes=options.PRESENCE_INDEXES,
        clock=loop.time,
    )
    leases = MemoryEditLeases(
        lease_seconds=options.EDIT_LEASE_SECONDS,
        answer_seconds=options.EDIT_ANSWER_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        changed=presence.bump,
        clock=loop.time,
    )
    this_node = Node(
        options,
        layer=InMemoryChannelLayer(),
        presence_store=presence,
        streams=MemoryStreams(),
        features=[SessionFeature, lambda node: EditLeaseFeature(node, store=leases)],
        clock=loop.time,
    )
    set_node(this_node)
    yield this_node
    await this_node.stop()
