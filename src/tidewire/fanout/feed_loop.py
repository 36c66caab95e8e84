"""The loop of a feed: joins its group, delivers its events and reads its topic, until nothing is due."""

import asyncio
import logging

from tidewire import metrics
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS
from tidewire.fanout.feed import Feed
from tidewire.fanout.groups import Groups

logger = logging.getLogger(__name__)

# Delay of the first reading, during which presence can be updated, so that the count includes the new member.
FIRST_READ_SECONDS = 0.05
# A topic's group is left this long after its last subscription ended, so that a page can reload without joining again.
LINGER_SECONDS = 10.0


class FeedLoop:
    """One task per feed, at most, which exists only while it has work. `reads` limits the concurrent reads."""

    def __init__(self, feed: Feed, *, groups: Groups, reads: asyncio.Semaphore, coalesce_seconds: float) -> None:
        self.feed = feed
        self.task: asyncio.Task[None] | None = None
        # When the last subscription ended; None while there is one.
        self.empty_since: float | None = None
        self._groups = groups
        self._reads = reads
        self._coalesce_seconds = coalesce_seconds
        self._read_at: float | None = None

    @property
    def is_running(self) -> bool:
        """True if the task has not ended. One that is cancelled before its start cannot remove itself."""
        return self.task is not None and not self.task.done()

    @property
    def is_unused(self) -> bool:
        """True if the topic has had no subscription for so long that its group must be left."""
        return self.empty_since is not None and asyncio.get_running_loop().time() - self.empty_since > LINGER_SECONDS

    @property
    def is_due(self) -> bool:
        """True if there is work. An unused topic has none: otherwise a busy one would never be left."""
        feed = self.feed
        has_work = feed.needs_read or feed.needs_delivery or not self._groups.is_joined(feed.name)
        return has_work and not self.is_unused

    def schedule(self) -> None:
        """Do the work that is due, soon."""
        if not self.is_running and self._groups.is_open and self.is_due:
            self.task = asyncio.ensure_future(self._run())

    async def leave(self) -> None:
        """Leave the group of a topic without subscriptions. Takes the place of the loop, which would join again."""
        self.task = asyncio.current_task()
        try:
            await self._groups.leave(self.feed.name)
        finally:
            self.task = None

    async def _run(self) -> None:
        feed = self.feed
        try:
            # The group may have to be joined again at any time.
            while self.is_due:
                if not self._groups.is_joined(feed.name):
                    await self._groups.join(feed.name)
                await feed.deliver()
                if feed.needs_read:
                    await self._coalesce()
                    async with self._reads:
                        await feed.read()
        except REDIS_UNAVAILABLE_ERRORS as error:
            # The check retries the feed every second.
            logger.debug("topic %s waits for Redis: %s", feed.name, error)
        except Exception:
            logger.exception("delivery on topic %s failed; reading the topic again", feed.name)
            metrics.TASK_RESTARTS.labels("delivery").inc()
            feed.invalidate()
        finally:
            self.task = None

    async def _coalesce(self) -> None:
        """Wait until the topic may be read again."""
        if not self.feed.coalesces:
            return
        loop = asyncio.get_running_loop()
        next_read = None if self._read_at is None else self._read_at + self._coalesce_seconds
        wait = FIRST_READ_SECONDS if next_read is None else next_read - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        self._read_at = loop.time()
