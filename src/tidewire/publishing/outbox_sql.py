"""The statements of the publisher, as SQL: for a few events, Django's query compiler takes most of a batch's CPU.

Only times are compiled by Django, once, because databases differ in their arithmetic.
"""
# ruff: noqa: S608 - the statements consist of names of tables and of numbers, and all other values are parameters

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Model, Q
from django.db.models.functions import Now

from tidewire.models import OutboxEvent, PublisherTurn, Sequenced, TopicSequence


class Waiting(NamedTuple):
    """A row of the outbox. `sequence` is 0 until the event is numbered."""

    id: int
    topic: str
    event_id: UUID
    body: str
    sequence: int = 0


class TurnRow(NamedTuple):
    """The publisher that had its turn last, and the numbers of rows of the outbox that may be published."""

    holder: str
    token: int
    is_expired: bool
    numbered: dict[int, int]


def limit_transaction(*, idle_seconds: float, lock_seconds: float, statement_seconds: float) -> None:
    """Let PostgreSQL abort this transaction if it waits, or lets others wait, for longer."""
    if connection.vendor != "postgresql":
        return
    seconds = (idle_seconds, lock_seconds, statement_seconds)
    _execute(
        "SELECT set_config('idle_in_transaction_session_timeout', %s, true),"
        " set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
        [f"{each}s" for each in seconds],
    )


def lock_turn(longest: timedelta) -> TurnRow | None:
    """Lock the row of the turn until the commit. Returns None if it is locked, or does not exist."""
    rows = _execute(*_turn_query(connection.vendor, longest))
    if not rows:
        return None
    holder, token, is_expired, numbered = rows[0]
    return TurnRow(holder, token, bool(is_expired), dict(json.loads(numbered)))


def store_turn(holder: str, token: int, *, lasts: timedelta | None, numbered: Mapping[int, int]) -> None:
    """Write the turn, which begins now and lasts this long; None: it has ended."""
    ends_at, parameters = _time(connection.vendor, lasts or timedelta())
    _execute(
        f"UPDATE {_table(PublisherTurn)} SET holder = %s, token = %s, numbered = %s, ends_at = {ends_at}",
        [holder, token, json.dumps(list(numbered.items())), *parameters],
    )


def delete_events(rows: Collection[int]) -> None:
    _execute(f"DELETE FROM {_table(OutboxEvent)} WHERE id IN ({_literals(rows)})")


def read_events(
    count: int, size: int, *, only: Collection[int] = (), without: Collection[int] = (), topics: Collection[str] = ()
) -> list[Waiting]:
    """Return the oldest events: one, or as many as there are up to `count` events and `size` bytes.

    `only`: read these rows; `without`: skip these rows; `topics`: skip these topics.
    """
    conditions = [
        *([f"id IN ({_literals(only)})"] if only else []),
        *([f"id NOT IN ({_literals(without)})"] if without else []),
        *([f"topic NOT IN ({', '.join(['%s'] * len(topics))})"] if topics else []),
    ]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # PostgreSQL knows the size of a text without reading it. Small texts are read at once, because any number of them
    # up to `count` fits; usually all are small.
    octets = "LENGTH(CAST(body AS BLOB))" if connection.vendor == "sqlite" else "OCTET_LENGTH(body)"
    small = f"CASE WHEN {octets} <= {size // count} THEN body END"
    table = _table(OutboxEvent)
    rows = _execute(
        f"SELECT id, topic, event_id, {small}, {octets} FROM {table} {where} ORDER BY id LIMIT {count}", list(topics)
    )
    totals = accumulate(row[4] for row in rows)
    rows = [row for number, (row, total) in enumerate(zip(rows, totals, strict=True)) if number == 0 or total <= size]
    bodies = {row[0]: row[3] for row in rows if row[3] is not None}
    if large := [row[0] for row in rows if row[3] is None]:
        bodies |= dict(_execute(f"SELECT id, body FROM {table} WHERE id IN ({_literals(large)})"))
    if rows and not bodies:
        # All were deleted between the two statements; others may wait.
        return read_events(count, size, only=only, without=without, topics=topics)
    return [Waiting(row[0], row[1], _uuid(row[2]), bodies[row[0]]) for row in rows if row[0] in bodies]


def write_sequences(model: type[Sequenced], events: Sequence[Waiting], *, if_none_is_locked: bool = False) -> bool:
    """Write the numbers of events into the application's rows; returns whether every event has such a row.

    `if_none_is_locked`: lock the rows first, and write nothing unless all were free.
    """
    outbox, table = _table(OutboxEvent), _table(model)
    values = ", ".join(f"({event.id}, {event.sequence})" for event in events)
    # Named `own`: the table may be in another schema, or be called like one of the queries.
    statement = (
        f"WITH tidewire_numbered (id, sequence) AS (VALUES {values}), "
        f"tidewire_rows AS (SELECT own.event_id, tidewire_numbered.sequence FROM tidewire_numbered"
        f" JOIN {outbox} AS waiting ON waiting.id = tidewire_numbered.id"
        f" JOIN {table} AS own ON own.event_id = waiting.event_id"
        # Not FOR NO KEY UPDATE: `sequence` is unique, so its UPDATE would wait for rows that refer to this one.
        f"{' FOR UPDATE OF own SKIP LOCKED' if if_none_is_locked else ''})"
        f" UPDATE {table} AS own SET sequence = tidewire_rows.sequence FROM tidewire_rows"
        f" WHERE own.event_id = tidewire_rows.event_id"
        f"{f' AND (SELECT count(*) FROM tidewire_rows) = {len(events)}' if if_none_is_locked else ''}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return bool(cursor.rowcount == len(events))


def lock_rows(model: type[Sequenced], events: Sequence[Waiting]) -> list[Waiting]:
    """Lock the application's rows of events; returns the events without those whose row is locked elsewhere."""
    ids = _literals(event.id for event in events)
    rows = f"FROM {_table(model)} WHERE event_id IN (SELECT event_id FROM {_table(OutboxEvent)} WHERE id IN ({ids}))"
    free = f"SELECT event_id {rows} FOR UPDATE SKIP LOCKED"
    locked = {_uuid(row[0]) for row in _execute(f"SELECT event_id {rows} AND event_id NOT IN ({free})")}
    return [event for event in events if event.event_id not in locked]


def lock_sequences(topics: Collection[str], *, skip_locked: bool = False) -> dict[str, int]:
    """Lock and return the number of each topic's newest event, for topics with recent events."""
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""
    skip = "SKIP LOCKED" if lock and skip_locked else ""
    places = ", ".join(["%s"] * len(topics))
    query = f"SELECT topic, sequence FROM {_table(TopicSequence)} WHERE topic IN ({places}) {lock} {skip}"
    return dict(_execute(query, list(topics)))


def store_sequences(last: Mapping[str, int]) -> None:
    """Write the number of each topic's newest event."""
    now, parameters = _time(connection.vendor, timedelta())
    # SQLite 3.31 allows 999 parameters, so the numbers are not among them.
    rows = ", ".join(f"(%s, {sequence}, {now})" for sequence in last.values())
    _execute(
        f"INSERT INTO {_table(TopicSequence)} (topic, sequence, used_at) VALUES {rows}"
        " ON CONFLICT (topic) DO UPDATE SET sequence = excluded.sequence, used_at = excluded.used_at",
        [value for topic in last for value in (topic, *parameters)],
    )


def _execute(statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def _table(model: type[Model]) -> str:
    return str(connection.ops.quote_name(model._meta.db_table))


def _literals(numbers: Iterable[int]) -> str:
    # Inlined into the statement, hundreds of numbers cost a tenth of the time that parameters take.
    return ", ".join(map(str, numbers))


def _uuid(value: UUID | str) -> UUID:
    # Databases without the type return text.
    return value if isinstance(value, UUID) else UUID(value)


@cache
def _turn_query(_vendor: str, longest: timedelta) -> tuple[str, tuple[Any, ...]]:
    turns = PublisherTurn.objects.filter(pk=1)
    if connection.features.has_select_for_update_skip_locked:
        # Other databases (SQLite, in a transaction that begins IMMEDIATE) give a transaction exclusive access.
        turns = turns.select_for_update(skip_locked=True)
    # A turn that ends too far in the future was taken before the database's clock was set back.
    expired = Q(ends_at__lte=Now()) | Q(ends_at__gt=Now() + longest)
    query = turns.annotate(expired=expired).values_list("holder", "token", "expired", "numbered").query
    statement, parameters = query.get_compiler(connection=connection).as_sql()
    return statement, tuple(parameters)


@cache
def _time(_vendor: str, after: timedelta) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL of the time `after` from now, by the database's clock."""
    query = PublisherTurn.objects.all().query
    time = (Now() + after if after else Now()).resolve_expression(query)
    statement, parameters = query.get_compiler(connection=connection).compile(time)
    return statement, tuple(parameters)
