"""Logged-in clients, and live values that the test sets, so that pages do not use Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from dashboard import live
from dashboard.events import DocumentPeople, DocumentStatus, UsersCount
from tests.unit.dashboard.conftest import ada, bob, plan, published, staff, user
from tidewire.auth import stamps
from tidewire.streams import Stamp
from tidewire.topics import Position

__all__ = ["ada", "bob", "plan", "published", "staff", "user"]


@dataclass
class LiveNow:
    """The results of `dashboard.live`. If `unavailable` is set, its results without Redis."""

    unavailable: bool = False
    names: list[str] = field(default_factory=list)
    people: dict[str, DocumentPeople] = field(default_factory=dict)
    at: str = "epoch:7"

    def users(self) -> UsersCount:
        return UsersCount(topic="users", version=1, count=len(self.names), names=tuple(self.names[:20]))

    def everyone(self) -> list[str]:
        return self.names

    def statuses(self, slugs: Sequence[str]) -> dict[str, DocumentPeople]:
        return {slug: self.people.get(slug, live.FREE) for slug in slugs}

    def status(self, slug: str) -> DocumentStatus:
        people = self.people.get(slug, live.FREE)
        return DocumentStatus(topic=f"document.{slug}", version=1, slug=slug, **people.model_dump())

    def position(self) -> str:
        return self.at


@pytest.fixture(autouse=True)
def now(monkeypatch) -> LiveNow:
    answers = LiveNow()

    def answer(name):
        return lambda *arguments: None if answers.unavailable else getattr(answers, name)(*arguments)

    for name in ("users", "everyone", "statuses", "status", "position"):
        monkeypatch.setattr(live, name, answer(name))
    stamp = Stamp(Position("a", 7), 1_000_000)
    monkeypatch.setattr(stamps, "read_stamp", lambda: None if answers.unavailable else stamp)
    return answers


@pytest.fixture(autouse=True)
def _unhashed_static_files(settings):
    """Hashed names need a collected manifest; only the tests of the stack have one."""
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def as_user(client, published):
    """Return `as_user(ada)`, which gives a client with ada's session."""

    def login(somebody):
        client.force_login(somebody)
        return client

    return login
