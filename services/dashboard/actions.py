"""What a user does to documents. The only place that writes them, and the only place that publishes."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from dashboard.events import NotificationCreated
from dashboard.models import Document, Notification, ReadPointer, Verb
from dashboard.permissions import can_delete
from tidewire import outbox

# A user who opens the editing page ten times in a row is one notification, not ten.
EDIT_STARTED_ONCE_PER = timedelta(minutes=10)


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
    document = Document.objects.create(title=title, body=body, author=user, updated_by=user)
    _notify(user, "created", document)
    return document


@transaction.atomic
def update_document(user: User, pk: int, *, version: int, title: str, body: str) -> Document:
    """Save over `version` and no other: the comparison is part of the UPDATE, so two savers cannot both pass it."""
    saved = Document.objects.filter(pk=pk, version=version).update(
        title=title, body=body, version=F("version") + 1, updated_at=Now(), updated_by=user
    )
    document = Document.objects.select_related("author", "updated_by").filter(pk=pk).first()
    if not saved or document is None:
        raise Conflict(yours=Draft(title=title, body=body), theirs=document)
    _notify(user, "updated", document)
    return document


@transaction.atomic
def delete_document(user: User, pk: int) -> None:
    document = Document.objects.select_for_update().get(pk=pk)
    if not can_delete(user, document):
        raise PermissionDenied(f"{user} may not delete {document.slug}: only its author and staff may")
    _notify(user, "deleted", document)
    document.delete()


@transaction.atomic
def start_editing(user: User, pk: int) -> None:
    """Notify the others that `user` edits the document, unless they were notified a short while ago."""
    # The lock makes two tabs that open at once agree on which of them notifies.
    document = Document.objects.select_for_update().get(pk=pk)
    since = Now() - EDIT_STARTED_ONCE_PER
    recent = Notification.objects.filter(document=document, actor=user, verb="edit_started", created_at__gt=since)
    if not recent.exists():
        _notify(user, "edit_started", document)


@transaction.atomic
def mark_read(user: User, up_to: int) -> None:
    """Move the pointer forward to a sequence number, never back, and never past the newest: later ones stay unread."""
    ReadPointer.objects.get_or_create(user=user)
    last_read = min(up_to, Notification.objects.newest())
    ReadPointer.objects.filter(user=user, last_read__lt=last_read).update(last_read=last_read)


def start_reading(user: User) -> None:
    """What happened before a user joined is read; by its number, because `date_joined` is of one host's clock."""
    ReadPointer.objects.get_or_create(user=user, defaults={"last_read": Notification.objects.newest()})


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
