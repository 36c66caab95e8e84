"""This node's part of presence: its own connections, renewed in time, and put again after a loss.

`NodePresence` is authoritative for the connections of this node; the store derives the members.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.families import family_label
from tidewire.presence import Presence, PresenceKey, Touched
from tidewire.presence.witness import Witness
from tidewire.redis.backoff import Backoff

logger = logging.getLogger(__name__)

# Changes within this time share a pipeline, so that a storm of connects remains cheap.
BATCH_SECONDS = 0.02
# Number of entries per pipeline, so that a refill of 10,000 entries blocks neither Redis nor the event loop.
PUT_ENTRIES = 500


class NodePresence:
    """Counts of this node's connections per entry, kept equal to the store's.

    `on_write_health` is called with False after two failed writes in a row, and with True at each success;
    `on_data_loss` is called if Redis has lost writes that it had acknowledged.
    """

    def __init__(
        self,
        presence: Presence,
        *,
        node: str,
        touch_seconds: float,
        announce: Callable[[set[str]], Awaitable[None]],
        on_write_health: Callable[[bool], None] = lambda _healthy: None,
        on_data_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self._presence = presence
        self._witness = Witness(node)
        # Former names with leases that must still be ended.
        self._ended: list[str] = []
        self._touch_seconds = touch_seconds
        self._announce = announce
        self._on_write_health = on_write_health
        self._on_data_loss = on_data_loss
        self._counts: Counter[PresenceKey] = Counter()
        # Ordered, so that the first member to join is named first.
        self._dirty: dict[PresenceKey, None] = {}
        self._wake = asyncio.Event()

    def join(self, key: PresenceKey) -> None:
        """Add a connection."""
        self._counts[key] += 1
        self._changed(key)

    def leave(self, key: PresenceKey) -> None:
        """Remove a connection."""
        if self._counts[key] <= 1:
            del self._counts[key]
        else:
            self._counts[key] -= 1
        self._changed(key)

    def families(self) -> Counter[str]:
        """Return the number of members on this node, by family of topic."""
        return Counter(family_label(key.topic) for key in self._counts)

    async def run(self) -> None:
        """Keep the store up to date for as long as the process runs; `RedisUnavailable` only causes a delay."""
        next_touch = 0.0
        failures = 0
        loop = asyncio.get_running_loop()
        # Never longer than a touch: the first node to reconnect ends the leases of the others, which must return within
        # the grace.
        backoff = Backoff(self._touch_seconds / 4, self._touch_seconds)
        while True:
            try:
                touches = loop.time() >= next_touch
                if touches:
                    next_touch = loop.time() + self._touch_seconds
                    await self._touch()
                await self._put()
                if touches:
                    failures = 0
                    self._on_write_health(True)
                backoff.reset()
            except RedisUnavailable as error:
                logger.warning("presence waits for Redis: %s", error)
                failures += 1
                if failures == 2:
                    self._on_write_health(False)
                await asyncio.sleep(backoff.next_delay())
            await self._wait_for_changes(next_touch - loop.time())

    async def hand_over(self) -> None:
        """Remove every entry now, as at the end of a drain. Members leave after their grace."""
        self._mark(self._counts)
        self._counts.clear()
        await self._put()

    def _changed(self, key: PresenceKey) -> None:
        self._mark([key])
        self._wake.set()

    def _mark(self, keys: Iterable[PresenceKey]) -> None:
        self._dirty.update(dict.fromkeys(keys))

    async def _wait_for_changes(self, seconds: float) -> None:
        try:
            # `wait_for` is not used: before Python 3.12 it can lose a cancellation that coincides with the result.
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
        await asyncio.sleep(BATCH_SECONDS)

    async def _touch(self) -> None:
        # The number of entries is compared only if no write is pending: keys may be evicted or deleted individually.
        expected = None if self._dirty else len(self._counts)
        known, entries = await self._touch_lease()
        changed = await self._presence.sweep()
        if not known or expected not in (None, entries):
            await self._register_again()
        await self._announce_changes(changed)

    async def _touch_lease(self) -> Touched:
        is_registration = not self._witness.acknowledged
        touched = await self._presence.touch(self._witness)
        if is_registration:
            metrics.LEASES_REGISTERED.inc()
        return touched

    async def _register_again(self) -> None:
        """Put all entries again under another name, because the store's entries of the old one are unknown."""
        logger.warning("presence: Redis lost writes or this node's lease; %d members are put again", len(self._counts))
        self._on_data_loss()
        self._ended.append(self._witness.name)
        self._witness.renew()
        # Marked before the registration, because its reply may be lost.
        self._mark(self._counts)
        await self._touch_lease()

    async def _put(self) -> None:
        refused = False
        while self._dirty:
            batch = list(islice(self._dirty, PUT_ENTRIES))
            for key in batch:
                del self._dirty[key]
            kept = False
            try:
                kept, changed = await self._presence.put(
                    self._witness, [(key, self._counts.get(key, 0)) for key in batch]
                )
            finally:
                if not kept:
                    self._mark(batch)
            if kept:
                await self._announce_changes(changed)
            elif refused:
                raise RedisUnavailable("Redis does not keep what it acknowledges: is its eviction policy noeviction?")
            else:
                refused = True
                await self._register_again()
        if self._ended:
            # Ended after the refill, so that no member leaves in the meantime.
            await self._presence.end(self._ended)
            self._ended.clear()

    async def _announce_changes(self, topics: set[str]) -> None:
        if topics:
            await self._announce(topics)
