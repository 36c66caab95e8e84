"""The outbox: an event is committed with its action, and published after the commit by one publisher at a time.

The pattern is the transactional outbox of Chris Richardson's microservices.io.

`publish` inserts the row and, on commit, wakes the publisher thread of this process. The request waits for neither
Redis nor other events. If a process cannot publish (Redis unavailable, process killed or stopped), another process or
the relay publishes the event within three seconds.

**Guarantees.** An event is published if and only if its transaction commits: at least once up to Redis, exactly once
beyond it. Each topic has one sequence, counted in the database: the publisher numbers events after their commits, in
the order of their rows, without a gap, and Redis appends them in the order of their numbers. An event that is committed
before the transaction of another begins has the lower number, unless the application's row of the first is locked at
that moment (see `Sequenced`).

**For readers.** A `Sequenced` row gets its event's number in the same transaction that numbers the event. The numbered
rows of a stream are therefore complete up to the highest number: no row with a lower number can appear later. A page
should be ordered by `sequence`, and should store its highest number as the position up to which a user has read.
Primary keys must not be used for that: PostgreSQL assigns a key at the INSERT and shows the row at the COMMIT, so a row
can appear behind a newer one. A row without a number is newer than all numbered rows, and cannot be marked as read yet.
"""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Min
from django.db.models.functions import Now

from tidewire import metrics
from tidewire.events import StreamEvent
from tidewire.exceptions import NotInTransaction
from tidewire.models import OutboxEvent
from tidewire.publishing import publisher
from tidewire.requests import request_id
from tidewire.streams import Encoded
from tidewire.topics import check_name

logger = logging.getLogger(__name__)

# Called with the events of each `publish`, before their commit. Only tests watch: see `tidewire.testing`.
watchers: list[Callable[[Sequence[StreamEvent]], None]] = []


def publish(topic: str, event: StreamEvent) -> None:
    """Publish an event once the surrounding transaction commits; a rollback discards it.

    An unavailable Redis raises nothing: the event is published later.

    Args:
        topic: Name of the stream topic, as in the event.
        event: The event with an id of its own.

    Raises:
        NotInTransaction: No transaction surrounds the call.
        ValueError: The event names another topic or an invalid one: a channel layer may refuse such an event together
            with all events in its batch.
        django.db.IntegrityError: An event with this id is in the outbox.

    Example:
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from django.db import transaction
        >>> from tidewire.events import StreamEvent
        >>> class MessagePosted(StreamEvent):
        ...     type: Literal["message"] = "message"
        ...     text: str
        >>> with transaction.atomic():
        ...     # The application saves the row of the message here.
        ...     publish("talk", MessagePosted(topic="talk", id=uuid4(), text="hello"))

    """
    publish_all(topic, [event])


def publish_all(topic: str, events: Sequence[StreamEvent]) -> None:
    """Publish events of one topic as `publish` does, in their order, by one INSERT.

    Args:
        topic: Name of the stream topic, as in each event.
        events: The events, oldest first. An empty sequence publishes nothing.

    Raises:
        NotInTransaction: No transaction surrounds the call.
        ValueError: An event names another topic or an invalid one. No event is published.
        django.db.IntegrityError: An event with the id of one of them is in the outbox. No event is published.

    Example:
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from django.db import transaction
        >>> from tidewire.events import StreamEvent
        >>> class MessagePosted(StreamEvent):
        ...     type: Literal["message"] = "message"
        ...     text: str
        >>> with transaction.atomic():
        ...     publish_all("talk", [MessagePosted(topic="talk", id=uuid4(), text=text) for text in ("hello", "all")])

    """
    rows: list[tuple[str, UUID, str]] = []
    for event in events:
        if not in_transaction():
            raise NotInTransaction(f"{event.type}: publish inside transaction.atomic(), with what happened")
        if topic != event.topic:
            raise ValueError(f"{event.type} is an event of {event.topic!r}, not of {topic!r}")
        id_of_request = event.request_id or request_id()
        body = Encoded.of(event, request_id=id_of_request).body
        rows.append((event.type, event.id, body))
    if not rows:
        return
    check_name(topic)
    _insert(topic, rows)
    for kind, event_id, _ in rows:
        # The only line that links a request to its event; like nginx's line, it is logged even if the transaction
        # fails.
        logger.info("event in the outbox", extra={"type": kind, "topic": topic, "event_id": str(event_id)})
    # Robust: the action is committed, so its response must not report a failure.
    transaction.on_commit(publisher.wake, robust=True)
    for watch in watchers:
        watch(events)


def in_transaction() -> bool:
    """Return whether a transaction of the project is open, as its own code would find it in production.

    The one that Django's `TestCase` opens around each test does not count: without that, a test would pass although the
    project forgot `transaction.atomic()`.
    """
    blocks = connection.atomic_blocks
    return connection.in_atomic_block and not all(getattr(block, "_from_testcase", False) for block in blocks)


def _insert(topic: str, rows: Sequence[tuple[str, UUID, str]]) -> None:
    """Insert rows as `bulk_create` does, in a third of its time, because each save depends on it."""
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


def count_waiting() -> int:
    """Return the number of committed, unpublished events; also set the metrics for it and for the oldest.

    Example:
        >>> count_waiting()
        0

    """
    totals = OutboxEvent.objects.aggregate(count=Count("pk"), seconds=Now() - Min("created_at"))
    metrics.OUTBOX_WAITING.set(totals["count"])
    metrics.OUTBOX_OLDEST_SECONDS.set(totals["seconds"].total_seconds() if totals["seconds"] else 0.0)
    return int(totals["count"])


def oldest() -> tuple[int, float] | None:
    """Return the oldest row and its age in seconds of the database's clock, which is also set as a metric.

    Returns:
        Primary key and age in seconds; None if no event waits.

    Example:
        >>> oldest() is None
        True

    """
    rows = OutboxEvent.objects.order_by("id").annotate(age=Now() - F("created_at"))
    row = rows.values_list("pk", "age").first()
    seconds = max(row[1].total_seconds(), 0.0) if row else 0.0
    metrics.OUTBOX_OLDEST_SECONDS.set(seconds)
    return (row[0], seconds) if row else None
