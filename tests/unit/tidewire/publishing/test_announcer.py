"""Announcements of state topics: the first at once, others coalesced, the last always."""

import asyncio

import pytest

from tests.unit.tidewire.publishing.test_direct import Layer
from tidewire.publishing.announcer import Announcer

COALESCE_SECONDS = 0.2


@pytest.fixture
def layer():
    return Layer()


@pytest.fixture
def here():
    """The topics that this process's hub was notified of."""
    return []


@pytest.fixture
async def announcer(layer, here):
    return Announcer(layer, prefix="p", coalesce_seconds=COALESCE_SECONDS, on_change=here.append)


async def test_the_first_change_is_announced_at_once(announcer, layer, here):
    """A change after a quiet time is not delayed."""
    started = asyncio.get_running_loop().time()
    await announcer.announce({"users"})
    await asyncio.sleep(COALESCE_SECONDS * 3)
    [(at, *sent)] = layer.sent
    assert sent == ["p.users", {"type": "tidewire.hint", "topic": "users"}]
    assert at - started < 0.001
    assert here == [{"users"}]


async def test_a_storm_is_announced_a_few_times_a_second(announcer, layer, here):
    """A thousand changes in ten seconds are fifty announcements; the process's own hub is notified of each."""
    for _ in range(1000):
        await announcer.announce({"users"})
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    assert 45 <= len(layer.sent) <= 55
    assert len(here) == 1000


async def test_the_last_change_is_always_announced(announcer, layer, here):
    """A change just after an announcement is announced too."""
    await announcer.announce({"users"})
    await asyncio.sleep(0.01)
    await announcer.announce({"users", "documents"})
    await asyncio.sleep(COALESCE_SECONDS * 3)
    assert sorted(group for _, group, _ in layer.sent) == ["p.documents", "p.users", "p.users"]


async def test_a_quiet_announcer_has_no_task(announcer, layer, here):
    """Without changes there is no waiting task."""
    await announcer.announce({"users"})
    await asyncio.sleep(COALESCE_SECONDS * 3)
    assert asyncio.all_tasks() == {asyncio.current_task()}
