"""Tasks that run for ever: restarted after an exception, counted, and delayed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from tidewire import metrics
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS
from tidewire.redis.backoff import Backoff

logger = logging.getLogger(__name__)

# A task that always fails at once must not fill the log, and a task that waits for Redis should return soon after it.
RESTART_SECONDS = 0.5
LONGEST_RESTART_SECONDS = 3.0
LAG_SECONDS = 0.5


async def supervise(name: str, run: Callable[[], Awaitable[Any]]) -> None:
    """Run a task for ever: an exception is logged and counted, and the task starts again."""
    backoff = Backoff(RESTART_SECONDS, LONGEST_RESTART_SECONDS)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await run()
        except REDIS_UNAVAILABLE_ERRORS as error:
            logger.warning("%s waits for Redis: %s", name, error)
        except Exception:
            logger.exception("task %s failed; restarting it", name)
            metrics.TASK_RESTARTS.labels(name).inc()
        if loop.time() - began > LONGEST_RESTART_SECONDS:
            backoff.reset()
        await asyncio.sleep(backoff.next_delay())


async def watch_lag() -> None:
    """Measure for ever how late the event loop wakes."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        metrics.LOOP_LAG_SECONDS.observe(max(loop.time() - due, 0.0))
        metrics.ASYNCIO_TASKS.set(len(asyncio.all_tasks(loop)))
