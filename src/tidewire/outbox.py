"""The outbox: an event's row is committed with its action, published on commit, and then deleted.

What could not be published then (Redis away, process killed) the relay publishes later, in order.
"""

import logging
from datetime import timedelta

from channels.layers import get_channel_layer
from django.db import connection, models, transaction
from django.utils import timezone

from tidewire import metrics
from tidewire.background import background
from tidewire.conf import settings
from tidewire.events import Event, StreamEvent
from tidewire.exceptions import NoRedis, NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.publish import publish as publish_event
from tidewire.requests import request_id
from tidewire.stores import stream_store

logger = logging.getLogger(__name__)

# The request that made an event waits so long for Redis; then the relay has it.
PATIENCE_SECONDS = 1.0
# A row this old was left: its own process would have published it by now.
LEFT_SECONDS = 2.0
BATCH = 100


def publish(topic: str, event: StreamEvent) -> None:
    """Publish an event once the surrounding transaction commits; not at all where it does not.

    Raises `NotInTransaction` outside of one. Redis being away fails nothing.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{event.type}: publish inside transaction.atomic(), with what happened")
    if event.request_id is None and request_id():
        event = event.model_copy(update={"request_id": request_id()})
    OutboxEvent.objects.create(event_id=str(event.id), topic=topic, type=event.type, body=event.encode())
    transaction.on_commit(_publish_waiting)


def relay() -> int:
    """Publish what was left, oldest first. Returns how many; raises `NoRedis`."""
    return _publish(OutboxEvent.objects.filter(created_at__lt=timezone.now() - timedelta(seconds=LEFT_SECONDS)))


def _publish_waiting() -> None:
    """On commit: publish everything that waits, in order, so that nothing overtakes what was left."""
    try:
        _publish(OutboxEvent.objects.all())
    except NoRedis as error:
        logger.warning("the relay will publish: %s", error)


def _publish(waiting: "models.QuerySet[OutboxEvent]") -> int:
    """Publish rows and delete them, one process at a time per row: at least once up to Redis, once beyond it."""
    published = 0
    with transaction.atomic():
        rows = waiting.order_by("id")
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        for row in rows[:BATCH]:
            event = Event.known[row.type].decode(row.body)
            assert isinstance(event, StreamEvent)
            background().run(_append(event), seconds=PATIENCE_SECONDS)
            row.delete()
            published += 1
    return published


async def _append(event: StreamEvent) -> None:
    given = settings()
    layer = get_channel_layer(given.CHANNEL_LAYER)
    assert layer is not None
    await publish_event(event, streams=stream_store(), layer=layer, prefix=given.PREFIX)


def waiting() -> int:
    """How many events are committed and not published; also set as a metric."""
    count = OutboxEvent.objects.count()
    metrics.OUTBOX_WAITING.set(count)
    return count
