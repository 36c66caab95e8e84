"""Users, a document, and the events that actions publish."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from dashboard import actions
from dashboard.events import NotificationCreated
from dashboard.models import Document, Notification


@pytest.fixture
def published(monkeypatch) -> list[tuple[str, NotificationCreated]]:
    """Record the events that actions publish, in order. None reaches Redis. Their rows are numbered at once."""
    events: list[tuple[str, NotificationCreated]] = []

    def publish(topic: str, event: NotificationCreated) -> None:
        events.append((topic, event))
        row = Notification.objects.filter(event_id=event.id)
        row.update(sequence=Notification.objects.newest() + 1)

    monkeypatch.setattr("dashboard.actions.publish", publish)
    return events


@pytest.fixture
def user(db) -> Callable[..., User]:
    return lambda name, **fields: User.objects.create_user(name, password="demo", **fields)


@pytest.fixture
def ada(user) -> User:
    return user("ada")


@pytest.fixture
def bob(user) -> User:
    return user("bob")


@pytest.fixture
def staff(user) -> User:
    return user("sam", is_staff=True)


@pytest.fixture
def plan(ada, published) -> Document:
    """A document of ada's. The event of its creation is dropped, so that a test sees only its own events."""
    document = actions.create_document(ada, title="Plan", body="first")
    published.clear()
    return document
