"""The loop that delivers: one write per subscription, giving way to the event loop in time."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tidewire import metrics

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Below the 20 ms at a stretch that other connections may have to wait.
STRETCH_SECONDS = 0.010
# The clock is read once for so many writes: a write costs about 10 microseconds.
WRITES_PER_LOOK = 64


async def fan_out(
    topic: str,
    subscriptions: Sequence[T],
    write: Callable[[T], bool],
    *,
    events: int = 1,
    published: float | None = None,
) -> None:
    """Write to each subscription; `write` returns whether it wrote. `published` is in seconds since 1970."""
    started = stretch = time.monotonic()
    written = 0
    for number, subscription in enumerate(subscriptions, 1):
        try:
            written += write(subscription)
        except Exception:  # One broken socket must not keep the event from the others.
            logger.exception("a socket could not be written to")
        if number % WRITES_PER_LOOK == 0 and time.monotonic() - stretch > STRETCH_SECONDS:
            await asyncio.sleep(0)
            stretch = time.monotonic()
    family = topic.partition(".")[0]
    metrics.DELIVERED.labels(family).inc(written * events)
    metrics.FANOUT_SECONDS.labels(family).observe(time.monotonic() - started)
    if published is not None:
        metrics.DELIVERY_SECONDS.labels(family).observe(max(time.time() - published, 0.0))
