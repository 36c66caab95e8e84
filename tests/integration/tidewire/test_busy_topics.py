"""The outbox: a topic that Redis refuses, or that has locked rows, does not hold up the other topics."""

import time
from uuid import UUID

import pytest
from django.db import connection, transaction

from dashboard.models import Notification
from tests.integration.tidewire.outbox_processes import (
    TIMEOUT_SECONDS,
    notify,
    open_transaction,
    say,
    soon,
    words,
)
from tests.unit.tidewire.fakes import Said
from tidewire.publishing import outbox, outbox_sql, publisher, sequencing


def test_one_topic_that_redis_refuses_does_not_hold_up_the_others(processes, redis_server, monkeypatch):
    """More events than fit a batch wait on the refused topic; a logout on another topic must be published at once."""
    monkeypatch.setattr(sequencing, "BATCH", 3)
    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)
    redis_server.client.set("tidewire:position:odd", "text")

    def odd() -> None:
        with transaction.atomic():
            for number in range(100, 110):
                outbox.publish("odd", Said(topic="odd", id=UUID(int=number), text="x"))

    processes.one(odd)
    processes.one(lambda: say(1, 2))
    end = time.monotonic() + TIMEOUT_SECONDS
    while processes.left() != 10:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert processes.stream() == words(1, 2)
    redis_server.client.delete("tidewire:position:odd")
    processes.wait_until_published()


def test_rows_that_another_transaction_has_locked_do_not_hold_up_other_topics(processes, monkeypatch):
    """A migration updated the rows of more notifications than fit a batch, and until its end no logout took effect."""
    monkeypatch.setattr(sequencing, "BATCH", 3)

    def lock_rows() -> None:
        assert list(Notification.objects.select_for_update())

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(7))
    with open_transaction(processes, lock_rows):
        processes.one(lambda: say(1, 2, 3, 4))
        soon(lambda: processes.stream() == words(1, 2, 3, 4), "the notifications' rows hold up the other topic")
    processes.wait_until_published()
    assert processes.one(
        lambda: list(Notification.objects.order_by("sequence").values_list("sequence", flat=True))
    ) == [*range(1, 8)]


def test_a_table_that_is_locked_before_its_topic_has_a_number_holds_up_no_other(processes, monkeypatch):
    """A migration locks the table of a model with first events that wait."""
    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)

    def lock_table() -> None:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE dashboard_notification IN ACCESS EXCLUSIVE MODE")

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(2))
    with open_transaction(processes, lock_table):
        processes.one(lambda: say(1))
        soon(lambda: processes.stream() == words(1), "the table holds up the other topic", seconds=5)
    processes.wait_until_published()


def test_a_lost_connection_is_no_fault_of_a_topic(processes, monkeypatch):
    """PostgreSQL ended the connection, or a pooler did, while a topic was numbered: the topic must not be skipped."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has no connections")
    write_sequences = outbox_sql.write_sequences

    def lose(*arguments, **options):
        monkeypatch.setattr(outbox_sql, "write_sequences", write_sequences)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return write_sequences(*arguments, **options)

    monkeypatch.setattr(outbox_sql, "write_sequences", lose)
    processes.one(lambda: notify(1))
    soon(lambda: not processes.left(), "the events wait")


def test_a_row_that_another_transaction_refers_to_holds_up_no_other(processes, monkeypatch):
    """An update of a unique column needs the whole row, which a foreign key locks until the end of its transaction."""

    def refer() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM dashboard_notification ORDER BY id LIMIT 1 FOR KEY SHARE")

    def numbered() -> int:
        return processes.one(Notification.objects.filter(sequence__isnull=False).count)

    with monkeypatch.context() as unavailable:
        unavailable.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: notify(3))
    with open_transaction(processes, refer):
        processes.one(lambda: say(1))
        soon(lambda: numbered() == 2, "the row holds up others of its topic")
    processes.wait_until_published()
    assert numbered() == 3


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_long_import_holds_up_no_other_topic(processes, monkeypatch, earlier):
    """The rows of the import have numbers of a topic, which stays locked until they are committed."""

    def bring_in() -> None:
        rows = [Notification(actor_name="ada", verb="created", slug="plan-1", title="Plan") for _ in range(3)]
        sequencing.number(rows)
        Notification.objects.bulk_create(rows)

    monkeypatch.setattr(publisher, "REFUSED_SECONDS", 0.5)
    processes.one(lambda: notify(earlier))
    processes.wait_until_published()
    with open_transaction(processes, bring_in):
        processes.one(lambda: notify(1))
        processes.one(lambda: say(1))
        soon(lambda: processes.stream() == words(1), "the import holds up the other topic")
    processes.wait_until_published()
    numbers = processes.one(lambda: list(Notification.objects.order_by("sequence").values_list("sequence", flat=True)))
    assert numbers == list(range(1, earlier + 5))
