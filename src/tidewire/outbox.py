"""The outbox: an event is committed with what happened, and published after the commit by one publisher at a time.

`publish` writes the row and, on commit, wakes the publisher of this process, a thread. The request waits for neither
Redis nor other events. What a process could not publish (Redis unavailable, process killed or stopped) any other one
or the relay publishes within three seconds.

**What is promised.** An event is published if and only if its transaction commits: at least once up to Redis, once
beyond it. Each topic has one sequence, counted in the database: the publisher numbers events after their commits, in
the order of their rows, without a gap, and Redis takes them in the order of their numbers. An event that is committed
before another one's transaction begins has the lower number, unless the application's row of the first is locked at
that moment (see `Sequenced`).

**For readers.** A `Sequenced` row gets its event's number in the same transaction that numbers the event. So the rows
of a stream that have a number are all that there will ever be up to the highest of them: no row with a lower number
appears later. Order a page by `sequence`, and keep the highest number on it as the position up to which a person has
read. Never use primary keys for that: PostgreSQL assigns one at the INSERT and shows the row at the COMMIT, so a row
can appear behind a newer one. A row without a number is newer than all that have one, and cannot be read up to yet.
"""

import logging
from collections.abc import Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Min
from django.db.models.functions import Now

from tidewire import metrics, publisher
from tidewire.events import StreamEvent
from tidewire.exceptions import NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.requests import request_id
from tidewire.streams import Encoded
from tidewire.topics import check_name

logger = logging.getLogger(__name__)


def publish(topic: str, event: StreamEvent) -> None:
    """Publish an event once the surrounding transaction commits; not at all if it does not.

    Raises `NotInTransaction` outside of one, `ValueError` if the event names another topic or no name of a topic: a
    channel layer may refuse it, and all events that wait with it. An unavailable Redis fails nothing.
    """
    publish_all(topic, [event])


def publish_all(topic: str, events: Sequence[StreamEvent]) -> None:
    """Publish events of one topic as `publish` does, in their order, by one INSERT."""
    rows: list[tuple[str, UUID, str]] = []
    for event in events:
        if not connection.in_atomic_block:
            raise NotInTransaction(f"{event.type}: publish inside transaction.atomic(), with what happened")
        if topic != event.topic:
            raise ValueError(f"{event.type} is an event of {event.topic!r}, not of {topic!r}")
        given = event.request_id or request_id()
        body = Encoded.of(event.model_copy(update={"request_id": given})).body
        rows.append((event.type, event.id, body))
    if not rows:
        return
    check_name(topic)
    _insert(topic, rows)
    for kind, event_id, _ in rows:
        # The one line that ties a request to its event; it is there also if the transaction fails, as nginx's line is.
        logger.info("event in the outbox", extra={"type": kind, "topic": topic, "event_id": str(event_id)})
    # Robust: what was committed has happened, and its answer must not say otherwise.
    transaction.on_commit(_publish_waiting, robust=True)


def _insert(topic: str, rows: Sequence[tuple[str, UUID, str]]) -> None:
    """Insert rows as `bulk_create` does, at a third of its time: this is on the path of every save."""
    field = OutboxEvent._meta.get_field("event_id")
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    values = ", ".join(["(%s, %s, %s, %s)"] * len(rows))
    parameters = [
        value
        for kind, event_id, body in rows
        for value in (field.get_db_prep_value(event_id, connection), topic, kind, body)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} (event_id, topic, type, body) VALUES {values}", parameters)  # noqa: S608


def waiting() -> int:
    """How many events are committed and not published; also set as metrics, with the age of the oldest."""
    found = OutboxEvent.objects.aggregate(count=Count("pk"), seconds=Now() - Min("created_at"))
    metrics.OUTBOX_WAITING.set(found["count"])
    metrics.OUTBOX_OLDEST_SECONDS.set(found["seconds"].total_seconds() if found["seconds"] else 0.0)
    return int(found["count"])


def oldest() -> tuple[int, float] | None:
    """The oldest row, and for how many seconds of the database's clock it has waited, which is also set as a metric."""
    rows = OutboxEvent.objects.order_by("id").annotate(age=Now() - F("created_at"))
    found = rows.values_list("pk", "age").first()
    seconds = max(found[1].total_seconds(), 0.0) if found else 0.0
    metrics.OUTBOX_OLDEST_SECONDS.set(seconds)
    return (found[0], seconds) if found else None


def _publish_waiting() -> None:
    publisher.wake()
