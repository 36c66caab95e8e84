"""The loop that delivers: gives way to the event loop in time, and keeps one socket's failure from the others."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tidewire import metrics

T = TypeVar("T")

# Below the 20 ms at a stretch that other connections may have to wait.
# A burst that arrives meanwhile is heard so soon that most sockets get all of it in one write.
STRETCH_SECONDS = 0.003
# The clock is read once for so many writes: a write costs about 10 microseconds.
WRITES_PER_LOOK = 64


async def fan_out(
    family: str,
    subscriptions: Sequence[T],
    write: Callable[[Sequence[T]], int],
    *,
    published: float | None = None,
) -> None:
    """Write to all subscriptions, in chunks; `write` returns how many events it wrote.

    `family` is that of the topic, for the metrics; `published` is in seconds since 1970.
    """
    started = stretch = time.monotonic()
    written = 0
    for first in range(0, len(subscriptions), WRITES_PER_LOOK):
        written += write(subscriptions[first : first + WRITES_PER_LOOK])
        if time.monotonic() - stretch > STRETCH_SECONDS:
            await asyncio.sleep(0)
            stretch = time.monotonic()
    metrics.DELIVERED.labels(family).inc(written)
    metrics.FANOUT_SECONDS.labels(family).observe(time.monotonic() - started)
    if published is not None:
        metrics.DELIVERY_SECONDS.labels(family).observe(max(time.time() - published, 0.0))
