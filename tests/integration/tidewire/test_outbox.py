"""The outbox over a real Redis and real databases: many publishers at once, one order, each event once."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from dashboard.settings import SQLITE
from tests.unit.tidewire.fakes import Said
from tidewire import outage, outbox
from tidewire.models import OutboxEvent
from tidewire.stores import stream_store

THREADS = 8


class Publishers:
    """Threads that start together, each with a connection of its own to one database."""

    def __init__(self, background_loop) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._barrier = threading.Barrier(THREADS)
        self._background = background_loop

    def one(self, call: Callable[[], Any]) -> Any:
        return self._pool.submit(call).result()

    def all(self, call: Callable[[int], Any]) -> list[Any]:
        def together(number: int) -> Any:
            self._barrier.wait(timeout=30)
            return call(number)

        return [future.result() for future in [self._pool.submit(together, number) for number in range(THREADS)]]

    def stream(self) -> list[str]:
        """The texts in the stream, in its order."""
        _, entries = self._background.run(stream_store().read("talk", 0, limit=10_000), seconds=5)
        return [Said.decode(entry.body).text for entry in entries]

    def left(self) -> int:
        return self.one(OutboxEvent.objects.count)

    def relay(self) -> int:
        """Publish what was left, as if it had waited long enough."""

        def run() -> int:
            OutboxEvent.objects.update(created_at=timezone.now() - timedelta(seconds=outbox.LEFT_SECONDS + 1))
            return outbox.relay()

        return self.one(run)

    def close(self) -> None:
        self.all(lambda _: connections["default"].close())
        self._pool.shutdown()


@pytest.fixture(params=["sqlite", "postgresql"])
def publishers(request, tmp_path, monkeypatch, django_db_blocker, background_loop) -> Iterator[Publishers]:
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": SQLITE}
    else:
        database = request.getfixturevalue("postgres")
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | database)
    monkeypatch.setattr(outage, "WRITES", outage.Outage())
    made = Publishers(background_loop)
    with django_db_blocker.unblock():
        made.one(lambda: call_command("migrate", verbosity=0))
        made.one(OutboxEvent.objects.all().delete)
        yield made
        made.close()


def say(*numbers: int) -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish("talk", Said(id=UUID(int=number), text=f"word {number}"))


def words(*numbers: int) -> list[str]:
    return [f"word {number}" for number in numbers]


def test_an_event_is_in_the_stream_when_its_request_ends(publishers):
    """Published on commit, by the request itself."""
    publishers.one(lambda: say(1))
    assert publishers.stream() == words(1)
    assert publishers.left() == 0


def test_publishers_at_the_same_time_neither_reorder_nor_double(publishers):
    """Each publisher's events are in the order of its requests, every event once, and none is left behind."""

    def publish(thread: int) -> None:
        for request in range(10):
            first = 1000 * (thread + 1) + 2 * request
            say(first, first + 1)

    publishers.all(publish)
    assert publishers.left() == 0, "whoever had its turn looked again"
    stream = publishers.stream()
    assert len(stream) == len(set(stream)) == THREADS * 20
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in stream if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)


def test_the_stream_has_the_order_of_the_commits(publishers):
    """Where one request begins after another has ended, so do their events."""
    lock = threading.Lock()
    order: list[int] = []

    def publish(thread: int) -> None:
        for request in range(10):
            with lock:
                number = 1000 * (thread + 1) + request
                order.append(number)
                say(number)

    publishers.all(publish)
    publishers.relay()
    assert publishers.stream() == words(*order)


def test_what_was_left_is_published_before_what_comes(publishers, redis_server, monkeypatch):
    """Redis was away: its return brings everything, in order, once."""
    redis_server.stop()
    publishers.one(lambda: say(1, 2))
    publishers.one(lambda: say(3))
    assert publishers.left() == 3
    redis_server.start()
    monkeypatch.setattr(outage, "WRITES", outage.Outage())
    publishers.one(lambda: say(4))
    assert publishers.stream() == words(1, 2, 3, 4)
    assert publishers.left() == 0


def test_relays_at_the_same_time_publish_each_event_once_and_in_order(publishers, monkeypatch):
    """Two relays, and requests beside them, after an outage."""
    with monkeypatch.context() as away:
        away.setattr(outbox, "_publish_waiting", lambda: None)
        publishers.one(lambda: [say(number) for number in range(1, 41)])
    monkeypatch.setattr(outbox, "BATCH", 7)
    old = timezone.now() - timedelta(seconds=outbox.LEFT_SECONDS + 1)
    publishers.one(lambda: OutboxEvent.objects.update(created_at=old))
    publishers.all(lambda thread: say(100 + thread) if thread < 3 else outbox.relay())
    publishers.relay()
    stream = publishers.stream()
    assert stream[:40] == words(*range(1, 41))
    assert sorted(stream[40:]) == words(100, 101, 102)
    assert publishers.left() == 0


def test_a_process_that_is_killed_between_redis_and_the_database_publishes_nothing_twice(publishers, monkeypatch):
    """At least once up to Redis, once beyond it: the row is there still, and its event's id is known."""
    delete = type(OutboxEvent.objects.all()).delete

    def killed(_self):
        raise OperationalError("the process was killed here")

    monkeypatch.setattr(type(OutboxEvent.objects.all()), "delete", killed)
    publishers.one(lambda: say(1, 2))
    monkeypatch.setattr(type(OutboxEvent.objects.all()), "delete", delete)
    assert publishers.left() == 2
    assert publishers.stream() == words(1, 2)
    publishers.one(lambda: say(3))
    assert publishers.stream() == words(1, 2, 3)
    assert publishers.left() == 0


def test_a_storm_with_outages_loses_nothing(publishers, monkeypatch):
    """Redis refuses at random while many publish; afterwards everything is there, in each publisher's order, once."""
    chance = random.Random(4)
    publish_row = outbox._publish_row

    async def sometimes(row: OutboxEvent) -> None:
        if chance.random() < 0.2:
            raise outbox.NoRedis("away")
        await publish_row(row)
        if chance.random() < 0.2:
            raise outbox.NoRedis("the answer was lost")

    monkeypatch.setattr(outbox, "_publish_row", sometimes)
    monkeypatch.setattr(outage, "SECONDS", 0.001)

    def publish(thread: int) -> None:
        for request in range(8):
            say(1000 * (thread + 1) + request)

    publishers.all(publish)
    monkeypatch.setattr(outbox, "_publish_row", publish_row)
    publishers.relay()
    stream = publishers.stream()
    assert len(stream) == len(set(stream)) == THREADS * 8
    for thread in range(THREADS):
        own = [int(text.split()[1]) for text in stream if int(text.split()[1]) // 1000 == thread + 1]
        assert own == sorted(own)
