"""`manage.py demo`: creates example users and documents for a first run. Never changes existing data."""

import functools
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from dashboard.env import read_env
from dashboard.management.demo_documents import DOCUMENTS, DemoDocument
from dashboard.models import Document, Notification
from tidewire.publishing import sequencing

USERS = ("ada", "bob", "eve")
ADMIN = "admin"
PASSWORD = "demo"  # noqa: S105 - public on purpose, so production must refuse this command
JOINED_DAYS_AGO = 30
HOURS_BETWEEN_VERSIONS = 7


class Command(BaseCommand):
    help = "Create the demo users (ada, bob, eve, admin; password: demo) and a few documents. Development only."

    @transaction.atomic
    def handle(self, *_args: Any, **_options: Any) -> None:
        if read_env().environment != "development":
            raise CommandError("demo creates users with a known password: it runs in the development environment only")
        users = {name: _user(name) for name in USERS}
        _user(ADMIN, is_staff=True, is_superuser=True)
        documents = 0 if Document.objects.exists() else _write(users)
        self.stdout.write(f"demo: {', '.join((*USERS, ADMIN))} (password: {PASSWORD}), {documents} documents written")


def _user(username: str, **rights: bool) -> User:
    joined_at = timezone.now() - timedelta(days=JOINED_DAYS_AGO)
    # Hashed for new users only, and in one INSERT: a changed password would be a revocation.
    defaults = {"date_joined": joined_at, "password": _password, **rights}
    user, _ = User.objects.get_or_create(username=username, defaults=defaults)
    return user


@functools.cache
def _password() -> str:
    """Return one hash for all users: the password is public, and each hash would take a third of a second."""
    return make_password(PASSWORD)


def _write(users: dict[str, User]) -> int:
    """Insert the history as rows. No action runs, because events from days ago must not be sent as new."""
    happened: list[Notification] = []
    for demo in DOCUMENTS:
        happened.extend(_history(demo, users))
    # No event is published for these rows, so the publisher cannot number them.
    happened.sort(key=lambda notification: notification.created_at)
    sequencing.number(happened)
    Notification.objects.bulk_create(happened)
    return len(DOCUMENTS)


def _history(demo: DemoDocument, users: dict[str, User]) -> list[Notification]:
    versions = len(demo.edited_by) + 1
    newest_at = timezone.now() - timedelta(minutes=demo.minutes_ago)
    times = [newest_at - timedelta(hours=HOURS_BETWEEN_VERSIONS * back) for back in reversed(range(versions))]
    writers = [users[name] for name in (demo.author, *demo.edited_by)]
    document = Document.objects.create(
        title=demo.title,
        body=demo.body,
        author=writers[0],
        version=versions,
        created_at=times[0],
        updated_at=newest_at,
        updated_by=writers[-1],
    )
    return [
        Notification(
            actor=writer,
            actor_name=writer.username,
            verb="updated" if version else "created",
            document=document,
            slug=document.slug,
            title=document.title,
            created_at=at,
        )
        for version, (writer, at) in enumerate(zip(writers, times, strict=True))
    ]
