"""Threads that save and publishers, like those of several processes, for the tests of the outbox."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from dashboard.models import Notification
from tests.unit.tidewire.fakes import Said
from tidewire.models import OutboxEvent, PublisherTurn, TopicSequence
from tidewire.publishing import outbox
from tidewire.publishing.publisher import PublisherThread
from tidewire.streams.redis import stream_store

THREADS = 8
PROCESSES = 3
TIMEOUT_SECONDS = 20.0


class Processes:
    """Threads that save, each with its own connection, and publishers like those of several processes."""

    def __init__(self, background_loop) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._barrier = threading.Barrier(THREADS)
        self._background = background_loop
        self.publishers = [PublisherThread() for _ in range(PROCESSES)]
        self._turns = itertools.cycle(self.publishers)

    def wake(self) -> None:
        """Wake a publisher, like a commit in any of the processes."""
        next(self._turns).wake()

    def one(self, call: Callable[[], Any]) -> Any:
        return self._pool.submit(call).result()

    def all(self, call: Callable[[int], Any]) -> list[Any]:
        def together(number: int) -> Any:
            self._barrier.wait(timeout=30)
            return call(number)

        return [future.result() for future in [self._pool.submit(together, number) for number in range(THREADS)]]

    def stream(self) -> list[str]:
        """Return the texts in the stream, in order."""
        return [event.text for event in self.events()]

    def events(self) -> list[Said]:
        _, entries = self._background.run(stream_store().read("talk", 0, limit=10_000), seconds=5)
        return [Said.decode(entry.body) for entry in entries]

    def left(self) -> int:
        return self.one(OutboxEvent.objects.count)

    def wait_until_published(self) -> None:
        """Wait until no event is waiting."""
        end = time.monotonic() + TIMEOUT_SECONDS
        while self.left():
            assert time.monotonic() < end, f"{self.left()} events still wait"
            time.sleep(0.02)

    def close(self) -> None:
        for each in self.publishers:
            each.stop()
        self.all(lambda _: connections["default"].close())
        self._pool.shutdown()


def delete_rows() -> None:
    for model in (OutboxEvent, TopicSequence, PublisherTurn, Notification):
        model.objects.all().delete()


def say(*numbers: int) -> None:
    with transaction.atomic():
        for number in numbers:
            outbox.publish("talk", Said(id=UUID(int=number), text=f"word {number}"))


def words(*numbers: int) -> list[str]:
    return [f"word {number}" for number in numbers]


def notify(count: int) -> None:
    with transaction.atomic():
        for _ in range(count):
            row = Notification.objects.create(actor_name="ada", verb="created", slug="plan-1", title="Plan")
            outbox.publish("notifications", Said(topic="notifications", id=row.event_id, text="x"))


def soon(true: Callable[[], bool], expectation: str, *, seconds: float = 3.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, expectation
        time.sleep(0.02)


@contextlib.contextmanager
def open_transaction(processes: Processes, work: Callable[[], Any]) -> Iterator[None]:
    """Keep a transaction of another process open after `work`."""
    if processes.one(lambda: connection.vendor) != "postgresql":
        pytest.skip("SQLite has one writer")
    begun, going_on = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            work()
            begun.set()
            going_on.wait(TIMEOUT_SECONDS)

    running = processes._pool.submit(run)
    try:
        assert begun.wait(TIMEOUT_SECONDS)
        yield
    finally:
        going_on.set()
        running.result(TIMEOUT_SECONDS)
