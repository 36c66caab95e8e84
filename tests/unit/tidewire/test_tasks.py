"""The end of tasks."""

import asyncio
import contextlib
import logging

from tidewire.tasks import cancel_all


def stubborn(times):
    """Create a task that ignores this many cancellations, like a library that mistakes them for timeouts."""

    async def run():
        for _ in range(times):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1e9)
        await asyncio.sleep(1e9)

    return asyncio.create_task(run(), name="stubborn")


async def test_a_cancellation_that_was_swallowed_is_repeated():
    """The drain of a node must not wait for a task that ignored its cancellation."""
    task = stubborn(2)
    await asyncio.sleep(0)
    await cancel_all([task])
    assert task.cancelled()


async def test_a_task_that_never_ends_is_named(caplog):
    """Such a task must not delay the node."""
    task = stubborn(10)
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        await cancel_all([task])
    assert "stubborn" in caplog.text
    for _ in range(12):
        task.cancel()
        await asyncio.sleep(0)


async def test_there_may_be_nothing_to_end():
    await cancel_all([])
