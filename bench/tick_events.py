"""tidewire's event of the bench: on the dashboard's own topic, with number, time and padding as for other servers."""

from __future__ import annotations

import time
from typing import Literal
from uuid import uuid4

from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.db import transaction

from dashboard.topics import NOTIFICATIONS
from tidewire.conf import settings
from tidewire.events import StreamEvent
from tidewire.publish import publish, publish_now
from tidewire.streams.redis import stream_store

# Characters that the hub adds to a published text, without the digits of the offset.
OFFSET_CHARACTERS = len('"offset":,"mark":"0123456789ab",')


class Tick(StreamEvent):
    """An event of the bench. `t` is CLOCK_MONOTONIC in nanoseconds."""

    type: Literal["tick"] = "tick"
    topic: str = NOTIFICATIONS.name
    n: int
    t: int
    pad: str | None = None


async def publish_tick(n: int, size: int) -> None:
    """Publish event number n at once."""
    await publish_now(tick_of(n, size), streams=stream_store(), layer=get_channel_layer(), prefix=settings().PREFIX)


async def commit_tick(n: int, size: int) -> None:
    """Publish the same as the product does, and return after the commit: the outbox has the event by then."""
    await sync_to_async(_commit)(n, size)


def _commit(n: int, size: int) -> None:
    tick = tick_of(n, size)
    with transaction.atomic():
        publish(NOTIFICATIONS.name, tick)


def tick_of(n: int, size: int) -> Tick:
    """Return event number n with about `size` characters on the wire, which cannot be less than 144."""
    tick = Tick(id=uuid4(), n=n, t=time.monotonic_ns())
    room = size - len(tick.encode()) - OFFSET_CHARACTERS - len(str(n + 1))
    if room > len(',"pad":""'):
        tick = tick.model_copy(update={"pad": "x" * (room - len(',"pad":""'))})
    return tick
