"""The outbox: an event's row is committed with its action, published on commit, and then deleted.

What could not be published then (Redis away, process killed) the relay publishes later, in order.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.db.models import Count, Min
from django.utils import timezone

from tidewire import metrics, outage
from tidewire.background import background
from tidewire.conf import settings
from tidewire.events import StreamEvent
from tidewire.exceptions import NoRedis, NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.publish import publish_all
from tidewire.requests import request_id
from tidewire.stores import stream_store
from tidewire.streams import Encoded

logger = logging.getLogger(__name__)

# The request that made an event waits so long for Redis; then the relay has it.
PATIENCE_SECONDS = 1.0
# A row this old was left: its own process would have published it by now.
LEFT_SECONDS = 2.0
BATCH = 100
# After an outage a request publishes so many batches of what was left, and then answers.
BATCHES = 10


def publish(topic: str, event: StreamEvent) -> None:
    """Publish an event once the surrounding transaction commits; not at all where it does not.

    Raises `NotInTransaction` outside of one, `ValueError` where the event names another topic.
    Redis being away fails nothing.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(f"{event.type}: publish inside transaction.atomic(), with what happened")
    if topic != event.topic:
        raise ValueError(f"{event.type} is an event of {event.topic!r}, not of {topic!r}")
    if event.request_id is None and request_id():
        event = event.model_copy(update={"request_id": request_id()})
    made = Encoded.of(event)
    OutboxEvent.objects.create(event_id=made.id, topic=made.topic, type=event.type, body=made.body)
    # The one line that ties a request to its event; it is there also where the transaction fails, as nginx's line is.
    logger.info("event in the outbox", extra={"type": event.type, "topic": topic, "event_id": made.id})
    # Robust: what was committed has happened, and its answer must not say otherwise.
    transaction.on_commit(_publish_waiting, robust=True)


def relay() -> int:
    """Publish what was left, oldest first. Returns how many; raises `NoRedis`.

    The age of the oldest and what was published are set as metrics.
    """
    oldest = OutboxEvent.objects.order_by("id").first()
    if _set_age(oldest.created_at if oldest else None) < LEFT_SECONDS:
        return 0
    return _publish_all(count=metrics.RELAY_PUBLISHED.inc)


def waiting() -> int:
    """How many events are committed and not published; also set as metrics, with the age of the oldest."""
    found = OutboxEvent.objects.aggregate(count=Count("pk"), oldest=Min("created_at"))
    metrics.OUTBOX_WAITING.set(found["count"])
    _set_age(found["oldest"])
    return int(found["count"])


def _set_age(oldest: datetime | None) -> float:
    """How long the oldest row has waited; 0 where there is none."""
    seconds = max((timezone.now() - oldest).total_seconds(), 0.0) if oldest else 0.0
    metrics.OUTBOX_OLDEST_SECONDS.set(seconds)
    return seconds


def _publish_waiting() -> None:
    """On commit: publish everything that waits, in order, so that nothing overtakes what was left."""
    if not outage.WRITES.may_ask():
        return
    try:
        _publish_all()
    except NoRedis as error:
        outage.WRITES.begin()
        outage.READS.begin()
        logger.warning("the relay will publish: %s", error)


def _publish_all(*, count: Callable[[float], None] | None = None) -> int:
    """Publish until nothing waits or another process is at it, within bounds. `count` hears of each batch."""
    published = 0
    for _ in range(BATCHES):
        batch = _publish_some(count)
        if not batch:
            break
        published += batch
    return published


def _publish_some(count: Callable[[float], None] | None) -> int:
    """Publish rows and delete them, one process at a time: at least once up to Redis, once beyond it.

    Raises `NoRedis`; what was published before it stays deleted.
    """
    failed: NoRedis | None = None
    with transaction.atomic():
        done: list[int] = []
        for row in _take():
            try:
                background().run(_publish_row(row), seconds=PATIENCE_SECONDS)
            except NoRedis as error:
                failed = error
                break
            outage.WRITES.end()
            done.append(row.pk)
        OutboxEvent.objects.filter(pk__in=done).delete()
    if count:
        count(len(done))
    if failed is not None:
        raise failed
    return len(done)


def _take() -> Sequence[OutboxEvent]:
    """The oldest rows, for this transaction alone; none where another one has them.

    Nothing may overtake, so it is never "all rows but those that are locked": the lock on the oldest row is
    everybody's turn. Whoever has it looks again after its commit, so a row that comes meanwhile is not left.
    """
    rows = OutboxEvent.objects.order_by("id")
    if connection.features.has_select_for_update_skip_locked:
        oldest = rows.first()
        if oldest is None or not rows.select_for_update(skip_locked=True).filter(pk=oldest.pk):
            return []
    # Elsewhere (SQLite, in a transaction that begins IMMEDIATE) a transaction has the database to itself.
    return list(rows[:BATCH])


async def _publish_row(row: OutboxEvent) -> None:
    given = settings()
    layer = get_channel_layer(given.CHANNEL_LAYER)
    assert layer is not None
    event = Encoded(row.topic, row.event_id, row.body)
    await publish_all({row.topic: [event]}, streams=stream_store(), layer=layer, prefix=given.PREFIX)
