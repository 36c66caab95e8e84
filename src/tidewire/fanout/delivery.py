"""The delivery loop: yields to the event loop regularly, and isolates the failure of one socket from the others."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tidewire import metrics

T = TypeVar("T")

# Below the 20 ms for which other connections may be delayed. A burst that arrives in the meantime is received early
# enough for most sockets to get all of it in one write.
SLICE_SECONDS = 0.003
# Number of writes per reading of the clock; a write costs about 10 microseconds.
WRITES_PER_CLOCK_READING = 64


async def fan_out(
    family: str,
    subscriptions: Sequence[T],
    write: Callable[[Sequence[T]], int],
    *,
    published: float | None = None,
) -> None:
    """Write to all subscriptions, in chunks; `write` returns the number of events written.

    `family` is the family of the topic, for the metrics; `published` is in seconds since 1970.
    """
    started = slice_started = time.monotonic()
    written = 0
    for first in range(0, len(subscriptions), WRITES_PER_CLOCK_READING):
        written += write(subscriptions[first : first + WRITES_PER_CLOCK_READING])
        if time.monotonic() - slice_started > SLICE_SECONDS:
            await asyncio.sleep(0)
            slice_started = time.monotonic()
    metrics.DELIVERED.labels(family).inc(written)
    metrics.FANOUT_SECONDS.labels(family).observe(time.monotonic() - started)
    if published is not None:
        metrics.DELIVERY_SECONDS.labels(family).observe(max(time.time() - published, 0.0))
