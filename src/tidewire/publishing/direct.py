"""Publishing: the stream or the presence store is authoritative, the group's message only a hint."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from channels.layers import BaseChannelLayer
from redis.exceptions import ResponseError

from tidewire import metrics
from tidewire.events import StreamEvent
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS
from tidewire.families import family_label
from tidewire.hints import Hint, HintedEvents, group_name
from tidewire.streams import Appended, Encoded, Streams

logger = logging.getLogger(__name__)

# Timeout of a hint to a Redis that hangs; each hub's check finds the event by then.
HINT_SECONDS = 0.5
# Maximum length of a batch of events in one message. A layer and its buffers are designed for small messages.
HINT_CHARACTERS = 64 * 1024


async def publish_now(event: StreamEvent, *, streams: Streams, layer: BaseChannelLayer, prefix: str) -> Appended:
    """Publish an event at once: append it to its topic, then send a hint.

    A hint that fails is made good by each hub's check.

    Args:
        event: The event with an id of its own. An event with an id that the stream has is not appended again.
        streams: The streams, such as those of `stream_store` in `tidewire.streams.redis`.
        layer: The channel layer for the hint: see `tidewire.layers`.
        prefix: The setting PREFIX.

    Returns:
        The event's position, and whether it is new.

    Raises:
        RedisUnavailable: The stream did not accept the event in time.

    Example:
        >>> import asyncio
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from channels.layers import InMemoryChannelLayer
        >>> from tidewire.events import StreamEvent
        >>> from tidewire.testing import MemoryStreams
        >>> class MessagePosted(StreamEvent):
        ...     type: Literal["message"] = "message"
        ...     text: str
        >>> event = MessagePosted(topic="talk", id=uuid4(), text="hello")
        >>> work = publish_now(event, streams=MemoryStreams(), layer=InMemoryChannelLayer(), prefix="tidewire")
        >>> asyncio.run(work).position.offset
        1

    """
    encoded = Encoded.of(event)
    published = time.time()
    appended = await streams.append(encoded)
    await _announce(event.topic, [(encoded, appended)], layer=layer, prefix=prefix, published=published)
    return appended


async def publish_batch(
    batch: Mapping[str, Sequence[Encoded]], *, streams: Streams, layer: BaseChannelLayer, prefix: str
) -> dict[str, list[Appended] | ResponseError]:
    """Append events of several topics in one round trip, then send a hint per topic. See `Streams.append_all`."""
    published = time.time()
    results = await streams.append_all(batch)
    await asyncio.gather(
        *(
            _announce(
                topic, list(zip(batch[topic], done, strict=True)), layer=layer, prefix=prefix, published=published
            )
            for topic, done in results.items()
            if isinstance(done, list)
        )
    )
    return results


async def _announce(
    topic: str,
    events: Sequence[tuple[Encoded, Appended]],
    *,
    layer: BaseChannelLayer,
    prefix: str,
    published: float,
) -> None:
    """Count the appended events, and send hints for new ones: consecutive events, several to a message if small."""
    family = family_label(topic)
    new = [(event, appended) for event, appended in events if appended.new]
    metrics.PUBLISHED.labels(family, "new").inc(len(new))
    metrics.PUBLISHED.labels(family, "repeated").inc(len(events) - len(new))
    while new:
        size, count = len(new[0][0].body), 1
        while count < len(new) and size + len(new[count][0].body) <= HINT_CHARACTERS:
            size += len(new[count][0].body)
            count += 1
        first = new[0][1].position
        hinted = HintedEvents(
            epoch=first.epoch,
            offset=first.offset,
            after=new[0][1].after,
            marks=[appended.position.mark for _, appended in new[:count]],
            bodies=[event.body for event, _ in new[:count]],
            published=published,
        )
        await send_hint(layer, prefix, Hint(topic, hinted))
        new = new[count:]


async def send_hint(layer: BaseChannelLayer, prefix: str, hint: Hint) -> None:
    """Send a hint to its topic's group. A hint that is lost is counted and logged; it raises nothing."""
    group, message = group_name(prefix, hint.topic), hint.encode()
    try:
        async with asyncio.timeout(HINT_SECONDS):
            try:
                await layer.group_send(group, message)
            except REDIS_UNAVAILABLE_ERRORS:
                # A pooled connection that Redis has closed fails once. A second failure is an outage, which checks make
                # good.
                await layer.group_send(group, message)
    except REDIS_UNAVAILABLE_ERRORS as error:
        metrics.DROPPED.labels("hint").inc()
        logger.warning("a hint on %s was lost: %s", group, str(error) or type(error).__name__)
