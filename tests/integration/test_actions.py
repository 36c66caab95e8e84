"""The dashboard's actions on PostgreSQL, where transactions run side by side: notifications are seen in their order."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import Error, connection, connections, transaction

from dashboard import actions
from dashboard.models import Document, Notification
from tidewire import outbox
from tidewire.models import OutboxEvent

THREADS = 6
ROUNDS = 15
PATIENCE_SECONDS = 20.0


class Threads:
    """Each call in a thread with a connection of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS + 1)

    def start(self, call: Callable[[], Any]) -> Future[Any]:
        def run() -> Any:
            try:
                return call()
            finally:
                connection.close()

        return self._pool.submit(run)

    def one(self, call: Callable[[], Any]) -> Any:
        return self.start(call).result(PATIENCE_SECONDS)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def threads(postgres, monkeypatch, django_db_blocker) -> Iterator[Threads]:
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | postgres)
    # Nothing here is about Redis.
    monkeypatch.setattr(outbox, "_publish_waiting", lambda: None)
    made = Threads()
    with django_db_blocker.unblock():
        made.one(lambda: call_command("migrate", verbosity=0))
        made.one(forget)
        yield made
        made.close()


def forget() -> None:
    for model in (Notification, Document, User, OutboxEvent):
        model.objects.all().delete()


@pytest.fixture
def ann(threads) -> User:
    return threads.one(lambda: User.objects.create(username="ann"))


@pytest.fixture
def documents(threads, ann) -> list[int]:
    return threads.one(lambda: [actions.create_document(ann, title=title, body="").pk for title in ("One", "Two")])


def save(user: User, pk: int) -> int:
    """Save over whatever is there; the notification's id."""
    version = Document.objects.get(pk=pk).version
    with transaction.atomic():
        actions.update_document(user, pk, version=version, title="Saved", body=f"over version {version}")
        return Notification.objects.values_list("pk", flat=True)[0]


class SlowCommit:
    """A save in a transaction that stays open until it is told to commit."""

    def __init__(self, threads: Threads, user: User, pk: int) -> None:
        self._saved, self._commit = threading.Event(), threading.Event()
        self.done = threads.start(lambda: self._run(user, pk))
        assert self._saved.wait(PATIENCE_SECONDS)

    def _run(self, user: User, pk: int) -> int:
        with transaction.atomic():
            number = save(user, pk)
            self._saved.set()
            self._commit.wait(PATIENCE_SECONDS)
        return number

    def commit(self) -> int:
        self._commit.set()
        return int(self.done.result(PATIENCE_SECONDS))


def newest() -> int:
    return Notification.objects.values_list("pk", flat=True)[0]


def test_a_notification_is_not_seen_before_an_older_one(threads, ann, documents):
    """A page that shows the newer one would take the older one for known, and mark it as read unseen."""
    before = threads.one(newest)
    slow = SlowCommit(threads, ann, documents[0])
    quick = threads.start(lambda: save(ann, documents[1]))
    # That the quick one does not commit is no event to wait for; without the turn it takes milliseconds.
    time.sleep(0.3)
    assert threads.one(newest) == before
    assert slow.commit() < quick.result(PATIENCE_SECONDS) == threads.one(newest)


def test_actions_of_many_wait_in_order_and_never_for_each_other(threads, ann, documents):
    """Whatever they lock, and several in one transaction too; nothing older comes after something newer."""
    stop = threading.Event()

    def watch() -> set[int]:
        seen: set[int] = set()
        late: set[int] = set()
        while not stop.is_set():
            now = set(Notification.objects.values_list("pk", flat=True))
            late |= {number for number in now - seen if number < max(seen, default=0)}
            seen |= now
        return late

    def act(number: int) -> None:
        user = User.objects.create(username=f"user{number}", is_staff=True)
        own = documents if number % 2 else documents[::-1]
        for turn in range(ROUNDS):
            with transaction.atomic():
                for pk in own:
                    actions.start_editing(user, pk)
            with transaction.atomic():
                for pk in own:
                    version = Document.objects.get(pk=pk).version
                    with contextlib.suppress(actions.Conflict):
                        actions.update_document(user, pk, version=version, title="Saved", body=f"{number}, {turn}")
            with transaction.atomic():
                made = actions.create_document(user, title="Same title", body="")
                actions.delete_document(user, made.pk)

    watching = threads.start(watch)
    acting = [threads.start(lambda number=number: act(number)) for number in range(THREADS)]
    try:
        for each in acting:
            each.result(PATIENCE_SECONDS)
    finally:
        stop.set()
    assert watching.result(PATIENCE_SECONDS) == set()


def test_who_stands_still_in_its_turn_loses_it(threads, ann, documents, monkeypatch):
    """A process that was stopped in mid-save does not stop everybody's."""
    monkeypatch.setattr(actions, "TURN_SECONDS", 1)
    slow = SlowCommit(threads, ann, documents[0])
    began = time.monotonic()
    threads.one(lambda: save(ann, documents[1]))
    assert time.monotonic() - began < 5
    with pytest.raises(Error):
        slow.commit()
    assert threads.one(lambda: Document.objects.get(pk=documents[0]).version) == 1
