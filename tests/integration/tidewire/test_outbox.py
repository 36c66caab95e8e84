"""The outbox with a real Redis and real databases: concurrent publishers, one order, each event once."""

import random
import threading
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import isolate_apps

from tests.integration.tidewire.outbox_processes import (
    THREADS,
    say,
    soon,
    words,
)
from tidewire.models import Sequenced, TopicSequence
from tidewire.publishing import publisher, sequencing
from tidewire.publishing.publisher import Publisher


def test_an_event_is_in_the_stream_soon_after_its_request(processes):
    """The process's own publisher publishes the event after the commit."""
    processes.one(lambda: say(1))
    processes.wait_until_published()
    assert processes.stream() == words(1)


def test_publishers_at_the_same_time_neither_reorder_nor_double(processes):
    """Each thread's events must be in the order of its requests, once each, and numbered without a gap."""

    def publish(thread: int) -> None:
        for request in range(10):
            first = 1000 * (thread + 1) + 2 * request
            say(first, first + 1)

    processes.all(publish)
    processes.wait_until_published()
    events = processes.events()
    assert [event.sequence for event in events] == list(range(1, THREADS * 20 + 1))
    assert len({event.text for event in events}) == THREADS * 20
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in processes.stream() if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)


def test_the_stream_has_the_order_of_the_commits(processes):
    """If a request begins after another has ended, its events must follow those of the other."""
    lock = threading.Lock()
    order: list[int] = []

    def publish(thread: int) -> None:
        for request in range(10):
            with lock:
                number = 1000 * (thread + 1) + request
                order.append(number)
                say(number)

    processes.all(publish)
    processes.wait_until_published()
    assert processes.stream() == words(*order)


def test_events_that_waited_for_redis_are_published_in_order(processes, redis_server):
    """After an outage of Redis, all events must be published in order and once, without another request."""
    redis_server.stop()
    processes.one(lambda: say(1, 2))
    processes.one(lambda: say(3))
    assert processes.left() == 3
    redis_server.start()
    processes.wait_until_published()
    processes.one(lambda: say(4))
    processes.wait_until_published()
    assert processes.stream() == words(1, 2, 3, 4)


def test_relays_at_the_same_time_publish_each_event_once_and_in_order(processes, monkeypatch):
    """Two relays publish events of processes that ended, while other requests publish too."""
    with monkeypatch.context() as ended:
        ended.setattr(publisher, "wake", lambda: None)
        processes.one(lambda: [say(number) for number in range(1, 41)])
    monkeypatch.setattr(sequencing, "BATCH", 7)

    def run(thread: int) -> None:
        if thread < 3:
            say(100 + thread)
        else:
            Publisher().publish()

    processes.all(run)
    processes.wait_until_published()
    stream = processes.stream()
    assert stream[:40] == words(*range(1, 41))
    assert sorted(stream[40:]) == words(100, 101, 102)


def test_a_storm_with_outages_loses_nothing(processes, monkeypatch):
    """Redis fails at random during many saves. Afterwards all events must exist, once and in each thread's order."""
    chance = random.Random(4)
    publish_batch = publisher.publish_batch

    async def sometimes(*arguments, **options):
        if chance.random() < 0.2:
            raise publisher.RedisUnavailable("unavailable")
        done = await publish_batch(*arguments, **options)
        if chance.random() < 0.2:
            raise publisher.RedisUnavailable("the answer was lost")
        return done

    monkeypatch.setattr(publisher, "publish_batch", sometimes)
    monkeypatch.setattr(publisher, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(publisher, "LONGEST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(sequencing, "BATCH", 5)

    def publish(thread: int) -> None:
        for request in range(8):
            say(1000 * (thread + 1) + request)

    processes.all(publish)
    processes.wait_until_published()
    stream = processes.stream()
    assert len(stream) == len(set(stream)) == THREADS * 8
    assert [event.sequence for event in processes.events()] == list(range(1, THREADS * 8 + 1))
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in stream if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)


def test_a_database_that_went_back_to_a_backup_loses_no_event(processes, monkeypatch):
    """The database's numbers restart below those in Redis: new events must be numbered above them."""
    processes.one(lambda: say(1, 2, 3))
    processes.wait_until_published()
    processes.one(lambda: TopicSequence.objects.update(sequence=1))
    processes.one(lambda: say(4, 5, 6))
    processes.wait_until_published()
    assert processes.stream() == words(1, 2, 3, 4, 5, 6)
    numbers = [event.sequence for event in processes.events()]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", ["rows", "numbered", '"elsewhere"."message"'])
def test_the_table_of_a_model_may_have_any_name_and_schema(processes, monkeypatch, name):
    """Its rows are numbered like those of any other table."""
    if "." in name and processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has no schemas")
    with isolate_apps("dashboard"):

        class Message(Sequenced):
            stream = "talk"

            class Meta:
                app_label = "dashboard"
                db_table = name

    def create() -> None:
        with connection.schema_editor() as editor:
            if "." in name:
                editor.execute("CREATE SCHEMA elsewhere")
            editor.create_model(Message)
        Message.objects.bulk_create(Message(event_id=UUID(int=number)) for number in (1, 2))

    def drop() -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(Message)
            if "." in name:
                editor.execute("DROP SCHEMA elsewhere")

    monkeypatch.setattr(sequencing, "_models", lambda: {"talk": Message})
    processes.one(create)
    try:
        processes.one(lambda: say(1, 2))
        soon(lambda: not processes.left(), "the events wait")
        assert processes.one(lambda: list(Message.objects.order_by("id").values_list("sequence", flat=True))) == [1, 2]
    finally:
        processes.one(drop)
