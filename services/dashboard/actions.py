"""What a user does to documents. The only place that writes them, and the only place that publishes."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import F, Max
from django.utils import timezone

from dashboard.events import NotificationCreated
from dashboard.models import Document, Notification, ReadPointer, Verb
from dashboard.permissions import can_delete
from tidewire import outbox

# A user who opens the editing page ten times in a row is one notification, not ten.
EDIT_STARTED_ONCE_PER = timedelta(minutes=10)
# PostgreSQL's name for whose turn it is to act: any number that nobody else in this database takes.
TURN = int.from_bytes(b"tidewire")
# Longer than any action takes between two statements. A process that stands still would have the turn for ever.
TURN_SECONDS = 20


@dataclass(frozen=True)
class Draft:
    title: str
    body: str


class Conflict(Exception):
    """Somebody else saved first. Carries both versions whole; `theirs` is None when the document was deleted."""

    def __init__(self, *, yours: Draft, theirs: Document | None) -> None:
        super().__init__(f"{theirs.slug} is at version {theirs.version}" if theirs else "the document was deleted")
        self.yours = yours
        self.theirs = theirs


@transaction.atomic
def create_document(user: User, *, title: str, body: str) -> Document:
    _take_turn()
    document = Document.objects.create(title=title, body=body, author=user, updated_by=user)
    _notify(user, "created", document)
    return document


@transaction.atomic
def update_document(user: User, pk: int, *, version: int, title: str, body: str) -> Document:
    """Save over `version` and no other: the comparison is part of the UPDATE, so two savers cannot both pass it."""
    _take_turn()
    saved = Document.objects.filter(pk=pk, version=version).update(
        title=title, body=body, version=F("version") + 1, updated_at=timezone.now(), updated_by=user
    )
    document = Document.objects.select_related("author", "updated_by").filter(pk=pk).first()
    if not saved or document is None:
        raise Conflict(yours=Draft(title=title, body=body), theirs=document)
    _notify(user, "updated", document)
    return document


@transaction.atomic
def delete_document(user: User, pk: int) -> None:
    _take_turn()
    document = Document.objects.select_for_update().get(pk=pk)
    if not can_delete(user, document):
        raise PermissionDenied(f"{user} may not delete {document.slug}: only its author and staff may")
    _notify(user, "deleted", document)
    document.delete()


@transaction.atomic
def start_editing(user: User, pk: int) -> None:
    """Notify the others that `user` edits the document, unless they were notified a short while ago."""
    _take_turn()
    # The lock makes two tabs that open at once agree on which of them notifies.
    document = Document.objects.select_for_update().get(pk=pk)
    since = timezone.now() - EDIT_STARTED_ONCE_PER
    recent = Notification.objects.filter(document=document, actor=user, verb="edit_started", created_at__gt=since)
    if not recent.exists():
        _notify(user, "edit_started", document)


@transaction.atomic
def mark_read(user: User, up_to_id: int) -> None:
    """Move the pointer forward, never back, and never past what exists: later notifications must stay unread."""
    newest = Notification.objects.aggregate(newest=Max("pk"))["newest"] or 0
    ReadPointer.objects.get_or_create(user=user)
    last_read = min(up_to_id, newest)
    ReadPointer.objects.filter(user=user, last_read__lt=last_read).update(last_read=last_read)


def _take_turn() -> None:
    """Wait until the action before has committed, so that notifications are seen in the order of their ids.

    PostgreSQL gives an id at the INSERT and shows it at the COMMIT. A page that has 4 would take a 3 that comes later
    for known, and mark it as read unseen. SQLite's transactions take turns as they begin (IMMEDIATE).
    """
    if connection.vendor != "postgresql":
        return
    # Before any row is locked: who waits for the turn must hold nothing that its owner may need. It ends with the
    # transaction, which the database breaks off where nothing comes of it.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true), pg_advisory_xact_lock(%s)",
            [f"{TURN_SECONDS}s", TURN],
        )


def _notify(user: User, verb: Verb, document: Document) -> None:
    notification = Notification.objects.create(
        actor=user,
        actor_name=user.get_username(),
        verb=verb,
        document=document,
        slug=document.slug,
        title=document.title,
    )
    outbox.publish(
        "notifications",
        NotificationCreated(
            id=notification.event_id,
            notification_id=notification.pk,
            actor=notification.actor_name,
            verb=verb,
            slug=document.slug,
            title=document.title,
            at=notification.created_at,
        ),
    )
