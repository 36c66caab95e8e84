"""A publisher's side of the database: its turn, and the numbers that it gives to events.

All is done in short transactions, none of which is open while Redis is asked.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Func, IntegerField, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Greatest, Now
from django.db.models.sql.compiler import SQLCompiler

from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence

logger = logging.getLogger(__name__)

# A publisher that was stopped has its turn for this long at most. Long enough for a batch on a busy machine.
TURN = timedelta(seconds=1.5)
# The database breaks off a transaction of a publisher that was stopped within it: its locks end before its turn does.
IDLE_SECONDS = 1
# No statement here takes longer unless something is wrong; then another publisher should try.
STATEMENT_SECONDS = 5
# So many events make the cost of a batch's statements and round trips small beside their own.
BATCH = 500
# All of a batch must reach Redis within the publisher's patience, also where a megabyte takes a few tenths of a second.
BATCH_BYTES = 1024 * 1024
# A topic without an event for this long starts again at 1. Its history in Redis is gone by then.
UNUSED = timedelta(days=90)


@dataclass
class Turn:
    """One publisher's turn, as it knows of it."""

    holder: str
    token: int = 0


class Waiting(NamedTuple):
    """A row of the outbox."""

    id: int
    topic: str
    event_id: UUID
    body: str
    sequence: int | None


@dataclass(frozen=True)
class Batch:
    """Events to publish now. `waiting` without any: they could not be numbered yet, or `failed` to be."""

    rows: Sequence[Waiting]
    waiting: bool
    failed: Collection[str] = ()


def advance(
    turn: Turn, *, done: Collection[int] = (), past: Mapping[str, int] | None = None, without: Collection[str] = ()
) -> Batch | None:
    """Delete the rows that are done, and take the next batch; the turn is given up if there is none.

    `past`: topics of this turn whose stream has this higher number, because the database went back to a backup.
    `without`: topics to leave alone. Returns None if another publisher has its turn.
    """
    with transaction.atomic():
        _limit_this_transaction()
        if done:
            table = connection.ops.quote_name(OutboxEvent._meta.db_table)
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table} WHERE id IN ({_literals(done)})")  # noqa: S608 - numbers
        found = _take_turn(turn)
        if found is None:
            return None
        if past and found == turn.token:
            _skip(past)
        batch = _next(without)
        if batch.rows or found == turn.token:
            ends_at = Now() + TURN if batch.rows else Now()
            PublisherTurn.objects.update(holder=turn.holder, token=found, ends_at=ends_at)
            turn.token = found
    return batch


def give_up(turn: Turn) -> None:
    """Let others have their turn at once, because this publisher cannot reach Redis."""
    PublisherTurn.objects.filter(holder=turn.holder, token=turn.token).update(ends_at=Now())


def prune() -> int:
    """Delete the sequences of topics that are no longer used, unless rows of the application go by them."""
    unused = TopicSequence.objects.filter(used_at__lt=Now() - UNUSED).exclude(topic__in=_models())
    return unused.exclude(topic__in=OutboxEvent.objects.values("topic")).delete()[0]


def number(rows: Sequence[Sequenced]) -> None:
    """Number rows of one model that have no events, as imported ones. In a transaction, before they are saved."""
    if not rows:
        return
    stream = rows[0].stream
    known = _last([stream])
    last = known[stream] if known else _newest(stream)
    for sequence, row in enumerate(rows, last + 1):
        row.sequence = sequence
    _keep({stream: last + len(rows)})


def _limit_this_transaction() -> None:
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
            " set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
            [f"{IDLE_SECONDS}s", f"{IDLE_SECONDS}s", f"{STATEMENT_SECONDS}s"],
        )


def _take_turn(turn: Turn) -> int | None:
    """The token of this publisher's turn, its row locked until the commit; None: another one has its turn."""
    turns = PublisherTurn.objects.filter(pk=1)
    if connection.features.has_select_for_update_skip_locked:
        # Elsewhere (SQLite, in a transaction that begins IMMEDIATE) a transaction has the database to itself.
        turns = turns.select_for_update(skip_locked=True)
    # A turn that ends too far ahead was taken before the database's clock went back.
    over = Q(ends_at__lte=Now()) | Q(ends_at__gt=Now() + TURN)
    asked = turns.annotate(over=over).values("holder", "token", "over")
    found = asked.first()
    if found is None:
        # Its row is locked, or this is the first turn of all.
        PublisherTurn.objects.bulk_create([PublisherTurn(pk=1)], ignore_conflicts=True)
        found = asked.first()
    if found is None:
        return None
    if (found["holder"], found["token"]) == (turn.holder, turn.token):
        return turn.token
    return int(found["token"]) + 1 if found["over"] else None


def _next(without: Collection[str]) -> Batch:
    rows = OutboxEvent.objects.exclude(topic__in=without) if without else OutboxEvent.objects.all()
    # First what was numbered and perhaps published: nothing of its topics may pass it.
    if unfinished := _read(rows.filter(sequence__isnull=False).order_by("sequence")):
        return Batch(unfinished, waiting=True)
    rows = rows.filter(sequence__isnull=True).order_by("id")
    locked: set[str] = set()
    while found := _read(rows.exclude(topic__in=locked) if locked else rows):
        batch = _numbered(found)
        if batch.rows or batch.failed:
            return batch
        # The application's rows of all these are locked elsewhere. Other topics do not wait for that.
        locked.update(row.topic for row in found)
    return Batch((), waiting=bool(locked))


class _Bytes(Func):
    """The size of a text, which PostgreSQL knows without reading it."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context)


def _read(rows: QuerySet[OutboxEvent]) -> list[Waiting]:
    """The first rows that make a batch: one row, or as many as are within both limits."""
    count = size = 0
    for each in rows.values_list(_Bytes("body"), flat=True)[:BATCH]:
        size += each
        if count and size > BATCH_BYTES:
            break
        count += 1
    return [Waiting(*row) for row in rows.values_list("id", "topic", "event_id", "body", "sequence")[:count]]


def _numbered(found: Sequence[Waiting]) -> Batch:
    """Give events their numbers, each topic's in the order of their rows."""
    topics: dict[str, list[Waiting]] = {}
    for row in found:
        topics.setdefault(row.topic, []).append(row)
    last = _last(topics)
    rows: list[Waiting] = []
    failed: set[str] = set()
    for topic, events in topics.items():
        try:
            if topic not in last:
                last[topic] = _newest(topic)
            numbered = _number(events, last[topic])
        except DatabaseError:
            logger.exception("events of topic %s cannot be numbered; they wait, other topics' do not", topic)
            failed.add(topic)
        else:
            rows += numbered
            last[topic] += len(numbered)
    if rows:
        _keep({topic: last[topic] for topic in topics.keys() - failed})
    return Batch(rows, waiting=True, failed=failed)


def _number(events: list[Waiting], last: int) -> list[Waiting]:
    """Number events of one topic, and the application's rows that say the same.

    An event whose row is locked waits for the next batch: a process that was stopped in a transaction of its own must
    not stop the publisher.
    """
    model = _models().get(events[0].topic)
    if model is None:
        return _write(events, last)
    with transaction.atomic():
        if connection.features.has_select_for_update_skip_locked:
            events = _unlocked(model, events)
        events = _write(events, last)
        numbered = OutboxEvent.objects.filter(topic=model.stream, sequence__isnull=False)
        sequence = numbered.filter(event_id=OuterRef("event_id")).values("sequence")
        rows = model._base_manager.filter(event_id__in=numbered.values("event_id"))
        rows.update(sequence=Subquery(sequence))
    return events


def _unlocked(model: type[Sequenced], events: list[Waiting]) -> list[Waiting]:
    """Lock the application's rows of these events; returns the events without those whose row is locked elsewhere."""
    ids = _literals(event.id for event in events)
    outbox, table = (connection.ops.quote_name(each._meta.db_table) for each in (OutboxEvent, model))
    rows = f"FROM {table} WHERE event_id IN (SELECT event_id FROM {outbox} WHERE id IN ({ids}))"  # noqa: S608 - own names
    free = f"SELECT event_id {rows} FOR NO KEY UPDATE SKIP LOCKED"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({free}) AS free")  # noqa: S608 - own names
        if cursor.fetchone()[0] == len(events):
            return events
        cursor.execute(f"SELECT event_id {rows} AND event_id NOT IN ({free})")
        locked = {row[0] for row in cursor.fetchall()}
    return [event for event in events if event.event_id not in locked]


def _write(events: list[Waiting], last: int) -> list[Waiting]:
    """Number events after the topic's last number, by one statement; `bulk_update` is ten times as slow."""
    numbered = [event._replace(sequence=sequence) for sequence, event in enumerate(events, last + 1)]
    if numbered:
        table = connection.ops.quote_name(OutboxEvent._meta.db_table)
        values = ", ".join(f"({event.id}, {event.sequence})" for event in numbered)
        with connection.cursor() as cursor:
            cursor.execute(
                f"WITH numbered (id, sequence) AS (VALUES {values})"  # noqa: S608 - numbers
                f" UPDATE {table} SET sequence = (SELECT sequence FROM numbered WHERE numbered.id = {table}.id)"
                f" WHERE id IN (SELECT id FROM numbered)"
            )
    return numbered


def _last(topics: Collection[str]) -> dict[str, int]:
    """The number of each topic's newest event, of those that had events lately."""
    return dict(TopicSequence.objects.select_for_update().filter(topic__in=topics).values_list("topic", "sequence"))


def _newest(topic: str) -> int:
    """The highest number among the application's rows of a topic, whose table may be locked or away."""
    model = _models().get(topic)
    if model is None:
        return 0
    with transaction.atomic():
        return model._base_manager.aggregate(newest=Max("sequence"))["newest"] or 0


def _keep(last: Mapping[str, int]) -> None:
    TopicSequence.objects.bulk_create(
        [TopicSequence(topic=topic, sequence=sequence) for topic, sequence in last.items()],
        update_conflicts=True,
        unique_fields=["topic"],
        update_fields=["sequence", "used_at"],
    )


def _skip(past: Mapping[str, int]) -> None:
    """Go on above what the streams have. Events that were numbered lower are numbered again."""
    for topic, sequence in past.items():
        logger.warning("topic %s is numbered on from %d, which Redis has: was the database restored?", topic, sequence)
        TopicSequence.objects.filter(topic=topic).update(sequence=Greatest(F("sequence"), sequence))
    OutboxEvent.objects.filter(topic__in=past, sequence__isnull=False).update(sequence=None)


def _literals(numbers: Iterable[int]) -> str:
    # As part of the statement, hundreds of numbers cost a tenth of what parameters do.
    return ", ".join(map(str, numbers))


@cache
def _models() -> dict[str, type[Sequenced]]:
    return {model.stream: model for model in apps.get_models() if issubclass(model, Sequenced)}
