"""The dashboard's actions on PostgreSQL, in which transactions run concurrently.

A save must not wait for another one. Pages and read pointers follow the order of publishing.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.utils import timezone

from dashboard import actions
from dashboard.models import Document, Notification
from tidewire.auth.revoke import revoke
from tidewire.models import OutboxEvent, PublisherTurn, TopicSequence
from tidewire.publishing import publisher, sequencing

THREADS = 6
ROUNDS = 15
TIMEOUT_SECONDS = 20.0


class Threads:
    """Runs each call in a thread with its own connection."""

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
        return self.start(call).result(TIMEOUT_SECONDS)

    def close(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def threads(postgres, monkeypatch, django_db_blocker) -> Iterator[Threads]:
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | postgres)
    # These tests do not need Redis.
    monkeypatch.setattr(publisher, "wake", lambda: None)
    two_threads = Threads()
    with django_db_blocker.unblock():
        two_threads.one(lambda: call_command("migrate", verbosity=0))
        two_threads.one(delete_rows)
        yield two_threads
        two_threads.close()


def delete_rows() -> None:
    for model in (Notification, Document, User, OutboxEvent, TopicSequence, PublisherTurn):
        model.objects.all().delete()


@pytest.fixture
def ann(threads) -> User:
    return threads.one(lambda: User.objects.create(username="ann"))


@pytest.fixture
def bob(threads) -> User:
    return threads.one(lambda: User.objects.create(username="bob"))


@pytest.fixture
def documents(threads, ann, bob) -> list[int]:
    keys = threads.one(lambda: [actions.create_document(ann, title=title, body="").pk for title in ("One", "Two")])
    threads.one(publish)
    return keys


def publish(turn: sequencing.Turn | None = None) -> int:
    """Publish like a publisher, but without Redis. Return the number of published events."""
    turn = turn or sequencing.Turn("test")
    done: list[int] = []
    count = 0
    while True:
        batch = sequencing.advance(turn, done=done)
        if batch is None or not batch.rows:
            return count
        done = [row.id for row in batch.rows]
        count += len(done)


def save(user: User, pk: int) -> None:
    """Save over any version."""
    version = Document.objects.get(pk=pk).version
    actions.update_document(user, pk, version=version, title="Saved", body=f"over version {version}")


class Slow:
    """An action in a transaction that stays open until `commit` is called."""

    def __init__(self, threads: Threads, action: Callable[[], object]) -> None:
        self._acted, self._commit = threading.Event(), threading.Event()
        self._done = threads.start(lambda: self._run(action))
        assert self._acted.wait(TIMEOUT_SECONDS)

    def _run(self, action: Callable[[], object]) -> None:
        with transaction.atomic():
            action()
            self._acted.set()
            self._commit.wait(TIMEOUT_SECONDS)

    def commit(self) -> None:
        self._commit.set()
        self._done.result(TIMEOUT_SECONDS)


def unread(user: User) -> list[str]:
    rows = Notification.objects.unread_by(user).order_by("pk")
    return [f"{row.verb} {row.document_id}" for row in rows]


def test_a_save_waits_for_no_save_of_another_document(threads, ann, documents):
    """A process that is stopped during a save must not block other saves."""
    slow = Slow(threads, lambda: save(ann, documents[0]))
    threads.one(lambda: save(ann, documents[1]))
    assert threads.one(publish) == 1
    slow.commit()
    assert threads.one(publish) == 1


def test_what_is_marked_as_read_was_there_to_be_seen(threads, ann, bob, documents):
    """A notification that was written earlier and committed later is unread, even if all were marked as read."""
    threads.one(lambda: actions.mark_read(bob, 10**9))
    slow = Slow(threads, lambda: save(ann, documents[0]))
    threads.one(lambda: save(ann, documents[1]))
    threads.one(publish)
    assert threads.one(lambda: unread(bob)) == [f"updated {documents[1]}"]
    threads.one(lambda: actions.mark_read(bob, Notification.objects.newest()))
    assert threads.one(lambda: unread(bob)) == []
    slow.commit()
    assert threads.one(lambda: unread(bob)) == [f"updated {documents[0]}"]
    threads.one(publish)
    assert threads.one(lambda: unread(bob)) == [f"updated {documents[0]}"]
    newest = threads.one(Notification.objects.first)
    assert newest.document_id == documents[0], "the list shows it on top, where a reader looks for news"


def test_what_was_not_published_yet_cannot_be_marked_as_read(threads, ann, bob, documents):
    """An unpublished notification must stay unread, whatever number the request contains."""
    threads.one(lambda: save(ann, documents[0]))
    threads.one(lambda: actions.mark_read(bob, 10**9))
    threads.one(publish)
    assert threads.one(lambda: unread(bob)) == [f"updated {documents[0]}"]


def test_no_lower_number_appears_later(threads, ann, documents):
    """Many users act on the same documents, and several publishers take turns."""
    stop = threading.Event()

    def watch() -> set[int]:
        seen: set[int] = set()
        late: set[int] = set()
        while not stop.is_set():
            now = set(Notification.objects.filter(sequence__isnull=False).values_list("sequence", flat=True))
            late |= {number for number in now - seen if number < max(seen, default=0)}
            seen |= now
        return late

    def act(number: int) -> None:
        user = User.objects.create(username=f"user{number}", is_staff=True)
        turn = sequencing.Turn(f"publisher {number}")
        for round_number in range(ROUNDS):
            with transaction.atomic():
                for pk in documents:
                    actions.start_editing(user, pk)
            for pk in documents:
                with contextlib.suppress(actions.Conflict):
                    version = Document.objects.get(pk=pk).version
                    actions.update_document(user, pk, version=version, title="Saved", body=f"{number} {round_number}")
            publish(turn)
            with transaction.atomic():
                document = actions.create_document(user, title="Same title", body="")
                actions.delete_document(user, document.pk)

    watching = threads.start(watch)
    acting = [threads.start(lambda number=number: act(number)) for number in range(THREADS)]
    try:
        for each in acting:
            each.result(TIMEOUT_SECONDS * 3)
        threads.one(publish)
    finally:
        stop.set()
    assert watching.result(TIMEOUT_SECONDS) == set()
    numbers = threads.one(lambda: list(Notification.objects.order_by("sequence").values_list("sequence", flat=True)))
    assert numbers == list(range(1, len(numbers) + 1)), "without a gap"
    assert not threads.one(OutboxEvent.objects.exists)


def test_a_stopped_delete_does_not_stop_publishing(threads, ann, bob, documents):
    """The action locks a notification without a number: only that one waits, the others do not."""
    one, two = documents
    threads.one(lambda: save(ann, one))
    slow = Slow(threads, lambda: actions.delete_document(ann, one))
    threads.one(lambda: save(ann, two))
    assert threads.one(publish) == 1
    assert threads.one(lambda: Notification.objects.get(sequence=3).document_id) == two
    slow.commit()
    assert threads.one(publish) == 2
    verbs = threads.one(lambda: list(Notification.objects.order_by("sequence").values_list("verb", flat=True)))
    assert verbs == ["created", "created", "updated", "updated", "deleted"]


def test_a_table_that_cannot_be_written_stops_one_topic(threads, ann, documents):
    """The table of notifications is missing, as in a migration: logouts are published at once, notifications later."""
    threads.one(lambda: save(ann, documents[0]))
    threads.one(lambda: revoke(ann.pk))
    threads.one(lambda: execute("ALTER TABLE dashboard_notification RENAME TO away"))
    turn = sequencing.Turn("test")
    batch = threads.one(lambda: sequencing.advance(turn))
    threads.one(lambda: execute("ALTER TABLE away RENAME TO dashboard_notification"))
    assert [row.topic for row in batch.rows] == ["revocations"]
    assert batch.failed == {"notifications"}
    assert threads.one(lambda: publish(turn)) == 2


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_the_clocks_of_web_hosts_do_not_matter(threads, ann, documents, monkeypatch):
    """For times and for the ten minutes until the next notification, only the database's clock may count."""
    real = timezone.now
    for minutes in (20, -20, 0):
        with monkeypatch.context() as moved:
            moved.setattr(timezone, "now", lambda minutes=minutes: real() + timedelta(minutes=minutes))
            threads.one(lambda: actions.start_editing(ann, documents[0]))
    [notification] = threads.one(lambda: list(Notification.objects.filter(verb="edit_started")))
    assert abs(notification.created_at - real()) < timedelta(minutes=1)
