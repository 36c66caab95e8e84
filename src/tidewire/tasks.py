"""The end of tasks, within a bound."""

import asyncio
import logging
from collections.abc import Iterable

logger = logging.getLogger(__name__)

# A task that is cancelled cleans up within the one; all together are less than what a drain may be late.
CANCEL_SECONDS = 0.5
CANCELS = 4


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: a library may take a cancellation for a timeout of its own, and go on."""
    running = set(tasks)
    for _ in range(CANCELS):
        if not running:
            return
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
    if running:
        logger.warning("ran on when they were to end: %s", sorted(task.get_name() for task in running))
