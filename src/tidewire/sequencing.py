"""The database side of a publisher: its turn, and the numbers that it assigns to events.

Each transaction is short, and none is open during a call to Redis. The numbers of events in the outbox are stored in
the row of the turn: one write per batch instead of one per event.
"""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, IntegerField, Max, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.db.models.sql.compiler import SQLCompiler

from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence

logger = logging.getLogger(__name__)

# Longest turn of a publisher that was suspended. Long enough for a batch on a busy machine.
MAX_TURN = timedelta(seconds=1.5)
# The database aborts a transaction of a suspended publisher after this: its locks must end before its turn.
IDLE_SECONDS = 1
# A statement that takes longer indicates a fault; another publisher should then try.
STATEMENT_SECONDS = 5
# With this many events, the cost of a batch's statements and round trips is small compared with the events' own.
BATCH = 500
# A batch must reach Redis within the publisher's timeout, even if a megabyte takes a few tenths of a second.
BATCH_BYTES = 1024 * 1024
# A topic without an event for this long restarts at 1. Its history in Redis has expired by then.
UNUSED = timedelta(days=90)


@dataclass
class Turn:
    """A publisher's turn, as known to the publisher."""

    holder: str
    token: int = 0
    # Just before its end was set, by this process's monotonic clock.
    since: float = 0.0


class Waiting(NamedTuple):
    """A row of the outbox. `sequence` is 0 until the event is numbered."""

    id: int
    topic: str
    event_id: UUID
    body: str
    sequence: int = 0


@dataclass(frozen=True)
class Batch:
    """Events to publish now. `waiting`: other events cannot be numbered yet; `failed`: topics with an error."""

    rows: Sequence[Waiting]
    waiting: bool
    failed: Collection[str] = ()


def advance(
    turn: Turn, *, done: Collection[int] = (), ahead: Mapping[str, int] | None = None, excluding: Collection[str] = ()
) -> Batch | None:
    """Delete the rows finished in this turn, and return the next batch; the turn is given up if there is none.

    `ahead`: topics of this turn with the higher number that their stream has, because the database was restored from a
    backup. `excluding`: topics to skip. Returns None if another publisher has its turn.
    """
    with transaction.atomic():
        _limit_this_transaction()
        taken = _take_turn(turn)
        if taken is None:
            return None
        token, numbered = taken
        if token == turn.token:
            # In a database that went back to a backup, other events may have the ids of these rows.
            _delete(numbered.keys() & done, numbered)
            if ahead:
                _skip_to(ahead, numbered)
        batch = _next_batch(excluding, numbered)
        if batch.rows or token == turn.token:
            numbered |= {row.id: row.sequence for row in batch.rows}
            ends_at = Now() + MAX_TURN if batch.rows else Now()
            turn.since = time.monotonic()
            PublisherTurn.objects.update(
                holder=turn.holder, token=token, ends_at=ends_at, numbered=list(numbered.items())
            )
            turn.token = token
    return batch


def end_turn(turn: Turn) -> None:
    """End the turn at once, because this publisher cannot reach Redis."""
    PublisherTurn.objects.filter(holder=turn.holder, token=turn.token).update(ends_at=Now())


def prune() -> int:
    """Delete the sequences of unused topics, except those on which the application's rows depend."""
    unused = TopicSequence.objects.filter(used_at__lt=Now() - UNUSED).exclude(topic__in=_models())
    return unused.exclude(topic__in=OutboxEvent.objects.values("topic")).delete()[0]


def number(rows: Sequence[Sequenced]) -> None:
    """Number rows of one model without events, such as imported ones, in a transaction before they are saved."""
    if not rows:
        return
    stream = rows[0].stream
    known = _last_sequences([stream])
    last = known[stream] if known else _newest_sequence(stream)
    for sequence, row in enumerate(rows, last + 1):
        row.sequence = sequence
    _store_sequences({stream: last + len(rows)})


def _limit_this_transaction() -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
            " set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
            [f"{IDLE_SECONDS}s", f"{IDLE_SECONDS}s", f"{STATEMENT_SECONDS}s"],
        )


def _take_turn(turn: Turn) -> tuple[int, dict[int, int]] | None:
    """Lock the row of the turn until the commit. Returns None if another publisher has its turn.

    Returns the token of this turn, and the numbered rows of the outbox.
    """
    turns = PublisherTurn.objects.filter(pk=1)
    if connection.features.has_select_for_update_skip_locked:
        # Other databases (SQLite, in a transaction that begins IMMEDIATE) give a transaction exclusive access.
        turns = turns.select_for_update(skip_locked=True)
    # A turn that ends too far in the future was taken before the database's clock was set back.
    expired = Q(ends_at__lte=Now()) | Q(ends_at__gt=Now() + MAX_TURN)
    query = turns.annotate(expired=expired).values("holder", "token", "expired", "numbered")
    row = query.first()
    if row is None:
        # The row is locked, or this is the very first turn.
        PublisherTurn.objects.bulk_create([PublisherTurn(pk=1)], ignore_conflicts=True)
        row = query.first()
    if row is None:
        return None
    numbered = dict(row["numbered"])
    if (row["holder"], row["token"]) == (turn.holder, turn.token):
        return turn.token, numbered
    return (max(row["token"], turn.token) + 1, numbered) if row["expired"] else None


def _delete(rows: Collection[int], numbered: dict[int, int]) -> None:
    if not rows:
        return
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE id IN ({_literals(rows)})")  # noqa: S608 - numbers
    for row in rows:
        del numbered[row]


def _next_batch(excluding: Collection[str], numbered: dict[int, int]) -> Batch:
    """Return the next batch. Removes rows that no longer exist from `numbered`."""
    rows = OutboxEvent.objects.order_by("id")
    if numbered:
        topics = dict(rows.filter(id__in=numbered).values_list("id", "topic"))
        for row in numbered.keys() - topics:
            del numbered[row]
        # Numbered and maybe published: no later event of these topics may overtake them.
        unfinished = [row for row, topic in topics.items() if topic not in excluding]
        if waiting := _read_batch(rows.filter(id__in=unfinished)):
            return Batch([row._replace(sequence=numbered[row.id]) for row in waiting], waiting=True)
        rows = rows.exclude(id__in=numbered)
    if excluding:
        rows = rows.exclude(topic__in=excluding)
    locked: set[str] = set()
    while waiting := _read_batch(rows.exclude(topic__in=locked) if locked else rows):
        batch = _number_by_topic(waiting)
        if batch.rows or batch.failed:
            return batch
        # The application's rows of all these events are locked elsewhere. Other topics must not wait for them.
        locked.update(row.topic for row in waiting)
    return Batch((), waiting=bool(locked))


class _Bytes(Func):
    """The size of a text, which PostgreSQL knows without reading it."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context)


def _read_batch(rows: QuerySet[OutboxEvent]) -> list[Waiting]:
    """Return the first rows that form a batch: one row, or as many as fit within both limits."""
    count = size = 0
    for each in rows.values_list(_Bytes("body"), flat=True)[:BATCH]:
        size += each
        if count and size > BATCH_BYTES:
            break
        count += 1
    return [Waiting(*row) for row in rows.values_list("id", "topic", "event_id", "body")[:count]]


def _number_by_topic(waiting: Sequence[Waiting]) -> Batch:
    """Assign numbers to events, per topic in the order of their rows."""
    topics: dict[str, list[Waiting]] = {}
    for row in waiting:
        topics.setdefault(row.topic, []).append(row)
    last = _last_sequences(topics, skip_locked=connection.features.has_select_for_update_skip_locked)
    if missing := topics.keys() - last:
        # Those that have a number wait: an import is numbering rows of theirs.
        for topic in TopicSequence.objects.filter(topic__in=missing).values_list("topic", flat=True):
            del topics[topic]
    rows: list[Waiting] = []
    failed: set[str] = set()
    for topic, events in topics.items():
        try:
            if topic not in last:
                last[topic] = _newest_sequence(topic)
            numbered = _number(events, last[topic])
        except DatabaseError:
            logger.exception("events of topic %s cannot be numbered; they wait, other topics' do not", topic)
            failed.add(topic)
        else:
            rows += numbered
            last[topic] += len(numbered)
    if rows:
        _store_sequences({topic: last[topic] for topic in topics.keys() - failed})
    return Batch(rows, waiting=True, failed=failed)


def _number(events: list[Waiting], last: int) -> list[Waiting]:
    """Number events of one topic, and the application's rows with the same content.

    An event with a locked row waits for the next batch: a process that is suspended in its own transaction must not
    block the publisher.
    """
    model = _models().get(events[0].topic)
    if model is None:
        return _with_sequences(last, events)
    with transaction.atomic():
        if connection.features.has_select_for_update_skip_locked:
            events = _lock_rows(model, events)
        events = _with_sequences(last, events)
        _write_sequences(model, events)
    return events


def _with_sequences(last: int, events: Sequence[Waiting]) -> list[Waiting]:
    """Number events, starting after the topic's last number."""
    return [event._replace(sequence=sequence) for sequence, event in enumerate(events, last + 1)]


def _lock_rows(model: type[Sequenced], events: list[Waiting]) -> list[Waiting]:
    """Lock the application's rows of these events; returns the events without those that are locked elsewhere."""
    ids = _literals(event.id for event in events)
    outbox, table = (connection.ops.quote_name(each._meta.db_table) for each in (OutboxEvent, model))
    rows = f"FROM {table} WHERE event_id IN (SELECT event_id FROM {outbox} WHERE id IN ({ids}))"  # noqa: S608 - own names
    # Not FOR NO KEY UPDATE: `sequence` is unique, so its UPDATE would wait for rows that refer to this one.
    free = f"SELECT event_id {rows} FOR UPDATE SKIP LOCKED"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({free}) AS free")  # noqa: S608 - own names
        if cursor.fetchone()[0] == len(events):
            return events
        cursor.execute(f"SELECT event_id {rows} AND event_id NOT IN ({free})")
        locked = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id not in locked]


def _write_sequences(model: type[Sequenced], events: Sequence[Waiting]) -> None:
    """Write the numbers into the application's rows with one statement; `bulk_update` takes ten times as long."""
    if not events:
        return
    outbox, table = (connection.ops.quote_name(each._meta.db_table) for each in (OutboxEvent, model))
    values = ", ".join(f"({event.id}, {event.sequence})" for event in events)
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH numbered (id, sequence) AS (VALUES {values})"  # noqa: S608 - numbers and own names
            f" UPDATE {table} SET sequence = numbered.sequence FROM numbered JOIN {outbox} ON {outbox}.id = numbered.id"
            f" WHERE {table}.event_id = {outbox}.event_id"
        )


def _last_sequences(topics: Collection[str], *, skip_locked: bool = False) -> dict[str, int]:
    """Return the number of each topic's newest event, for topics with recent events."""
    sequences = TopicSequence.objects.select_for_update(skip_locked=skip_locked).filter(topic__in=topics)
    return dict(sequences.values_list("topic", "sequence"))


def _newest_sequence(topic: str) -> int:
    """Return the highest number among the application's rows of a topic; the table may be locked or missing."""
    model = _models().get(topic)
    if model is None:
        return 0
    with transaction.atomic():
        return model._base_manager.aggregate(newest=Max("sequence"))["newest"] or 0


def _store_sequences(last: Mapping[str, int]) -> None:
    TopicSequence.objects.bulk_create(
        [TopicSequence(topic=topic, sequence=sequence) for topic, sequence in last.items()],
        update_conflicts=True,
        unique_fields=["topic"],
        update_fields=["sequence", "used_at"],
    )


def _skip_to(ahead: Mapping[str, int], numbered: dict[int, int]) -> None:
    """Continue above the numbers of the streams. Events with lower numbers must be numbered again."""
    for topic, sequence in ahead.items():
        logger.warning("topic %s is numbered on from %d, which Redis has: was the database restored?", topic, sequence)
        TopicSequence.objects.filter(topic=topic).update(sequence=Greatest(F("sequence"), sequence))
    for row in OutboxEvent.objects.filter(id__in=numbered, topic__in=ahead).values_list("id", flat=True):
        del numbered[row]


def _literals(numbers: Iterable[int]) -> str:
    # Inlined into the statement, hundreds of numbers cost a tenth of the time that parameters take.
    return ", ".join(map(str, numbers))


@cache
def _models() -> dict[str, type[Sequenced]]:
    models = [model for model in apps.get_models() if issubclass(model, Sequenced)]
    # A model that inherits from another one has its number there.
    return {model.stream: model for model in models if model._meta.get_field("sequence").model is model}
