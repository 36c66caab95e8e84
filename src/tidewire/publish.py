"""Publishing: the stream or the presence store is the truth, the group's message only a hint."""

import asyncio
import logging
import time
from collections.abc import Callable

from channels.layers import BaseChannelLayer

from tidewire import metrics
from tidewire.events import StreamEvent
from tidewire.hub import AWAY, HINT, group_name
from tidewire.streams import Appended, Encoded, Streams

logger = logging.getLogger(__name__)

# A hint to a Redis that stands still is given up after this: whoever waits for it is healed by a check by then.
HINT_SECONDS = 0.5


async def publish(event: StreamEvent, *, streams: Streams, layer: BaseChannelLayer, prefix: str) -> Appended:
    """Append an event to its topic, then hint at it. As `publish_encoded`."""
    return await publish_encoded(Encoded.of(event), streams=streams, layer=layer, prefix=prefix)


async def publish_encoded(event: Encoded, *, streams: Streams, layer: BaseChannelLayer, prefix: str) -> Appended:
    """Append an event to its topic, then hint at it.

    Raises `NoRedis` where the stream did not take it; a hint that fails is healed by every hub's check.
    """
    published = time.time()
    appended = await streams.append(event)
    metrics.PUBLISHED.labels(event.topic.partition(".")[0], "new" if appended.new else "repeated").inc()
    if appended.new:
        hint = {
            "type": HINT,
            "topic": event.topic,
            "epoch": appended.position.epoch,
            "offset": appended.position.offset,
            "body": event.body,
            "published": published,
        }
        await _hint(layer, group_name(prefix, event.topic), hint)
    return appended


class Announcer:
    """Tells every hub that state topics changed, a few times a second per topic, the last change always."""

    def __init__(
        self, layer: BaseChannelLayer, *, prefix: str, coalesce_seconds: float, here: Callable[[set[str]], None]
    ) -> None:
        self._layer = layer
        self._prefix = prefix
        self._coalesce_seconds = coalesce_seconds
        self._here = here
        self._due: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def announce(self, topics: set[str]) -> None:
        """Announce soon; the hub of this process is told at once."""
        self._here(topics)
        self._due |= topics
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, set()
                for topic in due:
                    await _hint(self._layer, group_name(self._prefix, topic), {"type": HINT, "topic": topic})
                await asyncio.sleep(self._coalesce_seconds)
        finally:
            self._task = None


async def _hint(layer: BaseChannelLayer, group: str, message: dict[str, object]) -> None:
    try:
        async with asyncio.timeout(HINT_SECONDS):
            try:
                await layer.group_send(group, message)
            except AWAY:
                # A pooled connection that Redis closed fails once; more than that is an outage, which checks heal.
                await layer.group_send(group, message)
    except AWAY as error:
        metrics.DROPPED.labels("hint").inc()
        logger.warning("a hint on %s was lost: %s", group, str(error) or type(error).__name__)
