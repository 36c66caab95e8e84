"""Ends tasks within a time limit."""

import asyncio
import logging
from collections.abc import Iterable

logger = logging.getLogger(__name__)

# Time for a cancelled task to clean up; the total must be less than the time by which a drain may be late.
CANCEL_SECONDS = 0.5
CANCELS = 4


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: a library may mistake a cancellation for its own timeout and continue."""
    running = set(tasks)
    for _ in range(CANCELS):
        if not running:
            return
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
    if running:
        logger.warning("tasks did not end when cancelled: %s", sorted(task.get_name() for task in running))
