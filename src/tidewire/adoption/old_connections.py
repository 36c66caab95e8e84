"""Database connections that Django should close, because they are old or broken."""

import time
from collections.abc import Callable

from channels.db import aclose_old_connections

# Channels closes them before each event, at the cost of a change of threads, which is two thirds of an event's cost.
EVENT_SECONDS = 0.1

_clock: Callable[[], float] = time.monotonic
_closed_at = -EVENT_SECONDS


async def close() -> None:
    """Close them, as Channels does on connect, disconnect and receive."""
    global _closed_at  # noqa: PLW0603 - connections belong to the one thread of a process in which Django runs
    _closed_at = _clock()
    await aclose_old_connections()


async def close_before_event() -> None:
    """Close them before an event of the channel layer, if that was not done in the last 100 ms."""
    if _clock() - _closed_at >= EVENT_SECONDS:
        await close()
