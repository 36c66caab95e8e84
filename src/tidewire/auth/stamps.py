"""Stamps: a position of the revocations with the time of Redis's clock. Tickets are dated by them.

The clocks of hosts differ, so a process must not compare its own with a ticket's. Redis's clock is common to all; a
process reads it at intervals and extrapolates with its own monotonic clock in between.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from tidewire.exceptions import RedisUnavailable
from tidewire.publishing import circuit_breaker
from tidewire.publishing.background import background
from tidewire.streams import Stamp
from tidewire.streams.redis import stream_store

logger = logging.getLogger(__name__)

# The topic of revocations.
TOPIC_NAME = "revocations"
# A page without a new ticket is better than a late page.
TIMEOUT_SECONDS = 0.5
# A reading of Redis's clock expires after this; a quartz clock drifts by far less than a second in this time.
VALID_SECONDS = 300.0


class RedisClock:
    """Redis's clock as estimated by this process. Shared by threads."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._read: tuple[int, float] | None = None

    def set(self, at_ms: int) -> None:
        """Set the clock to the current time of Redis."""
        self._read = (at_ms, self._monotonic())

    def now_ms(self) -> int | None:
        """Return the estimated time of Redis's clock; None without a recent reading."""
        if self._read is None:
            return None
        at_ms, read = self._read
        passed = self._monotonic() - read
        return at_ms + int(passed * 1000) if passed < VALID_SECONDS else None


async def follow(clock: RedisClock, read: Callable[[str], Awaitable[Stamp]]) -> None:
    """Keep a node's clock set, for ever. Raises `RedisUnavailable`."""
    while True:
        clock.set((await read(TOPIC_NAME)).at_ms)
        await asyncio.sleep(VALID_SECONDS / 5)


# The clock for the pages of this process.
CLOCK = RedisClock()


def read_stamp() -> Stamp | None:
    """Return a current stamp for a page; None if Redis does not answer in time."""

    async def reading() -> Stamp:
        return await stream_store().stamp(TOPIC_NAME)

    if not circuit_breaker.READS.allow():
        return None
    try:
        stamp = background().run(reading(), seconds=TIMEOUT_SECONDS)
    except RedisUnavailable as error:
        circuit_breaker.READS.record_failure()
        logger.warning("no tickets are issued: %s", error)
        return None
    circuit_breaker.READS.record_success()
    CLOCK.set(stamp.at_ms)
    return stamp
