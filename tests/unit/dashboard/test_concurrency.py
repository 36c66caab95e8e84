"""Real threads on a real database file: of concurrent saves of one version, exactly one may succeed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from dashboard import actions
from dashboard.models import Document, Notification
from dashboard.settings import SQLITE

THREADS = 8
ROUNDS = 5


class Threads:
    """Threads that start together. Each has its own connection to one database file."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(THREADS)
        self.barrier = Barrier(THREADS)

    def one(self, call):
        return self.pool.submit(call).result()

    def all(self, call):
        def together(number):
            self.barrier.wait(timeout=10)
            return call(number)

        return [future.result() for future in [self.pool.submit(together, number) for number in range(THREADS)]]

    def close(self) -> None:
        self.all(lambda _: connections["default"].close())
        self.pool.shutdown()


@pytest.fixture
def threads(tmp_path, monkeypatch, django_db_blocker) -> Iterator[Threads]:
    # The usual test database is in memory, where SQLite locks tables and never waits for a lock.
    own = connections.databases["default"]
    on_file = {**own, "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": SQLITE}
    monkeypatch.setitem(connections.databases, "default", on_file)
    monkeypatch.setattr("dashboard.actions.publish", lambda _topic, _event: None)
    threads = Threads()
    with django_db_blocker.unblock():
        threads.one(lambda: call_command("migrate", verbosity=0))
        yield threads
        threads.close()


def test_one_of_many_savers_wins_each_version(threads):
    users = threads.one(lambda: [User.objects.create(username=f"user{number}") for number in range(THREADS)])
    plan = threads.one(lambda: actions.create_document(users[0], title="Plan", body="start"))

    for version in range(1, ROUNDS + 1):
        texts = [f"version {version} by {number}" for number in range(THREADS)]

        def save(number: int, version: int = version, texts: list[str] = texts) -> actions.Conflict | None:
            try:
                actions.update_document(users[number], plan.pk, version=version, title="Plan", body=texts[number])
            except actions.Conflict as refused:
                return refused
            else:
                return None

        conflicts = threads.all(save)
        [winner] = [number for number, conflict in enumerate(conflicts) if conflict is None]
        document = threads.one(Document.objects.get)
        assert (document.version, document.body) == (version + 1, texts[winner])
        for number, conflict in enumerate(conflicts):
            if conflict:
                assert (conflict.yours.body, conflict.theirs.version) == (texts[number], version + 1)

    assert threads.one(Notification.objects.filter(verb="updated").count) == ROUNDS


def test_tabs_that_open_at_once_tell_it_once(threads):
    user = threads.one(lambda: User.objects.create(username="ada"))
    plan = threads.one(lambda: actions.create_document(user, title="Plan", body=""))
    threads.all(lambda _: actions.start_editing(user, plan.pk))
    assert threads.one(Notification.objects.filter(verb="edit_started").count) == 1


def test_titles_that_are_the_same_at_once_get_slugs_of_their_own(threads):
    user = threads.one(lambda: User.objects.create(username="ada"))
    slugs = threads.all(lambda number: actions.create_document(user, title="Plan", body=str(number)).slug)
    assert len(set(slugs)) == THREADS
