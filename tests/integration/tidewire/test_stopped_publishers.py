"""The outbox: a publisher that is killed or suspended loses, doubles and reorders no event, nor delays others long."""

import threading
import time

import pytest
from django.core.management.color import no_style
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models.functions import Now

from tests.integration.tidewire.outbox_processes import (
    TIMEOUT_SECONDS,
    delete_rows,
    say,
    words,
)
from tidewire.models import OutboxEvent, PublisherTurn
from tidewire.publishing import publisher, sequencing
from tidewire.publishing.publisher import Publisher
from tidewire.streams.redis import stream_store


def test_a_process_that_is_killed_between_redis_and_the_database_publishes_nothing_twice(processes, monkeypatch):
    """The row still exists, but Redis knows its event: at least once up to Redis, exactly once in it."""
    advance = sequencing.advance

    def killed(turn, *, done=(), **options):
        if done:
            raise OperationalError("the process was killed here")
        return advance(turn, **options)

    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(lambda: say(1, 2))
    with monkeypatch.context() as context:
        context.setattr(sequencing, "advance", killed)
        with pytest.raises(OperationalError, match="killed here"):
            processes.one(Publisher().publish)
    assert processes.left() == 2
    assert processes.stream() == words(1, 2)
    processes.one(lambda: PublisherTurn.objects.update(ends_at=Now()))
    processes.one(lambda: say(3))
    assert processes.one(Publisher().publish)
    assert processes.stream() == words(1, 2, 3)
    assert processes.left() == 0


@pytest.mark.alone
def test_a_publisher_that_a_stop_made_late_changes_nothing(processes, monkeypatch):
    """The publisher is stopped with a batch, and sends it after others have published the same events and more."""
    late, going_on = threading.Event(), threading.Event()
    stopped = Publisher()
    send = stopped._send

    def block(batch):
        late.set()
        assert going_on.wait(TIMEOUT_SECONDS)
        return send(batch)

    monkeypatch.setattr(stopped, "_send", block)
    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(lambda: say(1, 2))
    holding = processes._pool.submit(stopped.publish)
    assert late.wait(TIMEOUT_SECONDS)
    processes.one(lambda: say(3))
    assert not processes.one(Publisher().publish), "the turn is not over yet"
    began = time.monotonic()
    other = Publisher()
    while not processes.one(other.publish):
        assert time.monotonic() - began < 3
        time.sleep(0.02)
    # Enough events to make Redis forget the ids.
    monkeypatch.setattr(stream_store(), "_length", 1)
    processes.one(lambda: say(*range(4, 10)))
    assert processes.one(other.publish)
    going_on.set()
    assert not holding.result(TIMEOUT_SECONDS) or processes.left() == 0
    assert processes.stream() == words(*range(1, 10))
    assert [event.sequence for event in processes.events()] == list(range(1, 10))


def test_a_stopped_publisher_deletes_no_event_of_a_database_that_went_back(processes, monkeypatch):
    """A backup was restored meanwhile, and new events have the ids of the rows that the publisher sent."""
    sent, going_on = threading.Event(), threading.Event()
    stopped = Publisher()
    send = stopped._send

    def block(batch):
        done = send(batch)
        sent.set()
        assert going_on.wait(TIMEOUT_SECONDS)
        return done

    def go_back() -> None:
        delete_rows()
        with connection.cursor() as cursor:
            for each in connection.ops.sequence_reset_by_name_sql(no_style(), [table]):
                cursor.execute(each)

    table = {"table": OutboxEvent._meta.db_table, "column": "id"}
    monkeypatch.setattr(stopped, "_send", block)
    monkeypatch.setattr(publisher, "wake", lambda: None)
    processes.one(go_back)
    processes.one(lambda: say(1, 2))
    stopping = processes._pool.submit(stopped.publish)
    assert sent.wait(TIMEOUT_SECONDS)
    before = processes.one(lambda: set(OutboxEvent.objects.values_list("id", flat=True)))
    processes.one(go_back)
    processes.one(lambda: say(3, 4))
    assert processes.one(lambda: set(OutboxEvent.objects.values_list("id", flat=True))) == before
    going_on.set()
    stopping.result(TIMEOUT_SECONDS)
    processes.one(Publisher().publish)
    assert processes.stream() == words(1, 2, 3, 4)


@pytest.mark.alone
def test_a_publisher_stopped_inside_its_transaction_delays_others_by_less_than_three_seconds(processes, monkeypatch):
    """Its locks end with the database's timeout, and its turn ends by the database's clock."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer: a process that is stopped in any transaction stops every writer")
    inside, going_on = threading.Event(), threading.Event()

    def stop() -> None:
        with transaction.atomic():
            turn = sequencing.Turn("stopped")
            sequencing.advance(turn)
            inside.set()
            going_on.wait(TIMEOUT_SECONDS)

    with monkeypatch.context() as asleep:
        asleep.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: say(1))
    stopping = processes._pool.submit(stop)
    assert inside.wait(TIMEOUT_SECONDS)
    began = time.monotonic()
    processes.one(lambda: say(2))
    assert time.monotonic() - began < 1, "the request itself does not wait"
    processes.wait_until_published()
    assert time.monotonic() - began < 3
    assert processes.stream() == words(1, 2)
    going_on.set()
    with pytest.raises(DatabaseError):
        stopping.result(TIMEOUT_SECONDS)
