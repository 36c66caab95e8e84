"""What this node tells presence: its own connections, touched in time, put again after a loss.

It owns the truth about which connections are here; it never decides who is a member.
"""

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from tidewire import metrics
from tidewire.backoff import Backoff
from tidewire.exceptions import NoRedis
from tidewire.families import family_label
from tidewire.presence import Hold, Presence

logger = logging.getLogger(__name__)

# Holds that change within this time travel in one pipeline, so a storm of connects stays cheap.
GATHER_SECONDS = 0.02
# One pipeline carries so many, so that a refill of 10,000 holds blocks neither Redis nor the loop.
PUT_HOLDS = 500
# A sweep forgets ten nodes at most, so a node may have to wait its turn where a whole cluster's leases ended.
SWEEPS = 20


class PresenceRegister:
    """Counts of this node's connections per hold, kept equal to what the store has of it."""

    def __init__(
        self,
        presence: Presence,
        *,
        node: str,
        touch_seconds: float,
        announce: Callable[[set[str]], Awaitable[None]],
    ) -> None:
        self._presence = presence
        # A process that is started again under its name has a lease of its own: what was held before it ends.
        self._node = f"{node}-{uuid.uuid4().hex[:8]}"
        self._touch_seconds = touch_seconds
        self._announce = announce
        self._counts: Counter[Hold] = Counter()
        # In order, so that who came first is named first.
        self._dirty: dict[Hold, None] = {}
        # What was sent and not answered may still be carried out, after something newer.
        self._doubtful: set[Hold] = set()
        self._wake = asyncio.Event()

    def on_refused(self, refused: bool) -> None:
        """Told when the store took nothing twice in a row, and when it does again; the node replaces it."""

    def join(self, hold: Hold) -> None:
        """One more connection here."""
        self._counts[hold] += 1
        self._changed(hold)

    def leave(self, hold: Hold) -> None:
        """One connection less here."""
        if self._counts[hold] <= 1:
            del self._counts[hold]
        else:
            self._counts[hold] -= 1
        self._changed(hold)

    def families(self) -> Counter[str]:
        """How many members this node holds, by family of topic."""
        return Counter(family_label(hold.topic) for hold in self._counts)

    async def run(self) -> None:
        """Tell the store, for as long as the process lives; `NoRedis` only delays."""
        next_touch = 0.0
        failures = 0
        loop = asyncio.get_running_loop()
        # Never longer than a touch: whoever is back first ends the others' leases, and they have the grace to return.
        backoff = Backoff(self._touch_seconds / 4, self._touch_seconds)
        while True:
            try:
                if loop.time() >= next_touch:
                    next_touch = loop.time() + self._touch_seconds
                    await self._touch()
                    failures = 0
                    self.on_refused(False)
                await self._put()
                backoff.succeeded()
            except NoRedis as error:
                logger.warning("presence waits for Redis: %s", error)
                failures += 1
                if failures == 2:
                    self.on_refused(True)
                await asyncio.sleep(backoff.failed())
            await self._gather(next_touch - loop.time())

    async def hand_over(self) -> None:
        """Give up every hold now, as at the end of a drain. Members leave after their grace."""
        self._mark(self._counts)
        self._counts.clear()
        await self._put()

    def _changed(self, hold: Hold) -> None:
        self._mark([hold])
        self._wake.set()

    def _mark(self, holds: Iterable[Hold]) -> None:
        self._dirty.update(dict.fromkeys(holds))

    async def _gather(self, seconds: float) -> None:
        try:
            # Not `wait_for`: until Python 3.12 it forgets a cancellation that comes together with what it waits for.
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
        await asyncio.sleep(GATHER_SECONDS)

    async def _touch(self) -> None:
        known = await self._presence.touch(self._node)
        changed = await self._presence.sweep()
        if not known:
            for _ in range(SWEEPS):
                if await self._presence.touch(self._node, register=True):
                    break
                # Its own lease has ended and is still to be swept, behind those of others.
                changed |= await self._presence.sweep()
            self._mark(self._counts)
            metrics.LEASES_REGISTERED.inc()
        await self._tell(changed)

    async def _put(self) -> None:
        while self._dirty:
            batch = list(islice(self._dirty, PUT_HOLDS))
            for hold in batch:
                del self._dirty[hold]
            try:
                kept, changed = await self._presence.put(
                    self._node, [(hold, self._counts.get(hold, 0)) for hold in batch]
                )
            except BaseException:
                self._mark(batch)
                self._doubtful.update(batch)
                raise
            if not kept:
                self._mark(batch)
                await self._presence.touch(self._node, register=True)
                self._mark(self._counts)
                continue
            # Redis answers again, so what it had not answered is carried out or never will be: say it once more.
            self._mark(self._doubtful)
            self._doubtful.clear()
            await self._tell(changed)

    async def _tell(self, topics: set[str]) -> None:
        if topics:
            await self._announce(topics)
