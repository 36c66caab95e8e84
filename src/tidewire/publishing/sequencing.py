"""The database side of a publisher: its turn, and the numbers that it assigns to events.

Each transaction is short, and none is open during a call to Redis. The numbers of events in the outbox are stored in
the row of the turn: one write per batch instead of one per event.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.models import F, Max
from django.db.models.functions import Greatest, Now

from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence
from tidewire.publishing import outbox_sql
from tidewire.publishing.outbox_sql import Waiting

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
        outbox_sql.limit_transaction(
            idle_seconds=IDLE_SECONDS, lock_seconds=IDLE_SECONDS, statement_seconds=STATEMENT_SECONDS
        )
        taken = _take_turn(turn)
        if taken is None:
            return None
        token, numbered = taken
        if token == turn.token:
            # In a database that went back to a backup, other events may have the ids of these rows.
            if finished := numbered.keys() & done:
                outbox_sql.delete_events(finished)
                numbered = {row: sequence for row, sequence in numbered.items() if row not in finished}
            if ahead:
                _skip_to(ahead, numbered)
        batch = _next_batch(excluding, numbered)
        if batch.rows or token == turn.token:
            numbered |= {row.id: row.sequence for row in batch.rows}
            lasts = MAX_TURN if batch.rows else None
            turn.since = time.monotonic()
            outbox_sql.store_turn(turn.holder, token, lasts=lasts, numbered=numbered)
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
    known = outbox_sql.lock_sequences([stream])
    last = known[stream] if known else _newest_sequence(stream)
    for sequence, row in enumerate(rows, last + 1):
        row.sequence = sequence
    outbox_sql.store_sequences({stream: last + len(rows)})


def _take_turn(turn: Turn) -> tuple[int, dict[int, int]] | None:
    """Lock the row of the turn until the commit. Returns None if another publisher has its turn.

    Returns the token of this turn, and the numbered rows of the outbox.
    """
    row = outbox_sql.lock_turn(MAX_TURN)
    if row is None:
        # The row is locked, or this is the very first turn.
        PublisherTurn.objects.bulk_create([PublisherTurn(pk=1)], ignore_conflicts=True)
        row = outbox_sql.lock_turn(MAX_TURN)
    if row is None:
        return None
    if (row.holder, row.token) == (turn.holder, turn.token):
        return turn.token, row.numbered
    return (max(row.token, turn.token) + 1, row.numbered) if row.is_expired else None


def _next_batch(excluding: Collection[str], numbered: dict[int, int]) -> Batch:
    """Return the next batch. Removes rows that no longer exist from `numbered`."""
    if numbered:
        topics = dict(OutboxEvent.objects.filter(id__in=numbered).values_list("id", "topic"))
        for row in numbered.keys() - topics:
            del numbered[row]
        # Numbered and maybe published: no later event of these topics may overtake them.
        unfinished = [row for row, topic in topics.items() if topic not in excluding]
        if unfinished and (waiting := outbox_sql.read_events(BATCH, BATCH_BYTES, only=unfinished)):
            return Batch([row._replace(sequence=numbered[row.id]) for row in waiting], waiting=True)
    locked: set[str] = set()
    while waiting := outbox_sql.read_events(BATCH, BATCH_BYTES, without=numbered, topics={*excluding, *locked}):
        batch = _number_by_topic(waiting)
        if batch.rows or batch.failed:
            return batch
        # The application's rows of all these events are locked elsewhere. Other topics must not wait for them.
        locked.update(row.topic for row in waiting)
    return Batch((), waiting=bool(locked))


def _number_by_topic(waiting: Sequence[Waiting]) -> Batch:
    """Assign numbers to events, per topic in the order of their rows. Returns those that can be published."""
    topics: dict[str, list[Waiting]] = {}
    for row in waiting:
        topics.setdefault(row.topic, []).append(row)
    skip_locked = connection.features.has_select_for_update_skip_locked
    last = outbox_sql.lock_sequences(topics, skip_locked=skip_locked)
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
            if transaction.get_rollback():
                # The savepoint was lost with the connection, which is no fault of the topic.
                raise
            logger.exception("events of topic %s cannot be numbered; they wait, other topics' do not", topic)
            failed.add(topic)
        else:
            rows += numbered
            last[topic] += len(numbered)
    if rows:
        outbox_sql.store_sequences({topic: last[topic] for topic in topics.keys() - failed})
    return Batch(rows, waiting=True, failed=failed)


def _number(events: list[Waiting], last: int) -> list[Waiting]:
    """Number events of one topic, and the application's rows with the same content.

    An event with a locked row waits for the next batch: a process that is suspended in its own transaction must not
    block the publisher.
    """
    model = _models().get(events[0].topic)
    numbered = _with_sequences(last, events)
    if model is None:
        return numbered
    # A savepoint, so that the application's table cannot spoil the transaction.
    with transaction.atomic():
        if connection.features.has_select_for_update_skip_locked:
            if outbox_sql.write_sequences(model, numbered, if_none_is_locked=True):
                return numbered
            numbered = _with_sequences(last, outbox_sql.lock_rows(model, events))
        if numbered:
            outbox_sql.write_sequences(model, numbered)
    return numbered


def _with_sequences(last: int, events: Sequence[Waiting]) -> list[Waiting]:
    """Number events, starting after the topic's last number."""
    return [event._replace(sequence=sequence) for sequence, event in enumerate(events, last + 1)]


def _newest_sequence(topic: str) -> int:
    """Return the highest number among the application's rows of a topic; the table may be locked or missing."""
    model = _models().get(topic)
    if model is None:
        return 0
    with transaction.atomic():
        return model._base_manager.aggregate(newest=Max("sequence"))["newest"] or 0


def _skip_to(ahead: Mapping[str, int], numbered: dict[int, int]) -> None:
    """Continue above the numbers of the streams. Events with lower numbers must be numbered again."""
    for topic, sequence in ahead.items():
        logger.warning("topic %s is numbered on from %d, which Redis has: was the database restored?", topic, sequence)
        TopicSequence.objects.filter(topic=topic).update(sequence=Greatest(F("sequence"), sequence))
    for row in OutboxEvent.objects.filter(id__in=numbered, topic__in=ahead).values_list("id", flat=True):
        del numbered[row]


@cache
def _models() -> dict[str, type[Sequenced]]:
    models = [model for model in apps.get_models() if issubclass(model, Sequenced)]
    # A model that inherits from another one has its number there.
    return {model.stream: model for model in models if model._meta.get_field("sequence").model is model}
