"""A node restarts its tasks when they end: the restarts are counted and delayed."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import pytest

from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.server import supervision


def restarts() -> float:
    return metrics.TASK_RESTARTS.labels("test")._value.get()


@pytest.fixture
def supervise(caplog):
    """Return a function that runs a supervised task for some seconds, without its errors in the log."""

    async def supervise(run: Callable[[], Awaitable[None]], *, seconds: float) -> None:
        with caplog.at_level(logging.CRITICAL):
            running = asyncio.ensure_future(supervision.supervise("test", run))
            await asyncio.sleep(seconds)
            running.cancel()

    return supervise


async def test_a_task_that_dies_is_logged_counted_and_started_again(here, supervise):
    """Restarts must be limited to a rate that does not flood the log."""
    runs: list[float] = []

    async def run() -> None:
        runs.append(asyncio.get_running_loop().time())
        raise KeyError("a bug")

    before = restarts()
    await supervise(run, seconds=10)
    waits = [later - earlier for earlier, later in itertools.pairwise(runs)]
    assert waits[0] <= supervision.RESTART_SECONDS + 0.01, "the first time at once, or nearly"
    assert all(1.5 <= wait <= supervision.LONGEST_RESTART_SECONDS + 0.01 for wait in waits[3:])
    assert len(runs) >= 5
    assert restarts() == before + len(runs)


async def test_a_task_that_ran_for_a_while_is_started_again_at_once(here, supervise):
    """A failure long ago does not delay a restart."""
    runs: list[float] = []

    async def run() -> None:
        runs.append(asyncio.get_running_loop().time())
        await asyncio.sleep(10 if len(runs) > 4 else 0)
        raise RedisUnavailable("unavailable")

    await supervise(run, seconds=60)
    waits = [later - earlier - 10 for earlier, later in itertools.pairwise(runs[5:])]
    assert len(waits) >= 3
    assert all(wait <= supervision.RESTART_SECONDS + 0.01 for wait in waits)


async def test_a_task_that_only_waits_for_redis_is_not_counted_as_dead(here, supervise):
    """An outage of Redis is not a bug."""

    async def run() -> None:
        raise RedisUnavailable("unavailable")

    before = restarts()
    await supervise(run, seconds=3)
    assert restarts() == before
