"""The actions of users on documents. No other code may write documents or publish events."""

from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from dashboard import submissions
from dashboard.events import NotificationCreated
from dashboard.models import Document, Notification, ReadPointer, Verb
from dashboard.permissions import can_delete
from dashboard.submissions import Draft
from tidewire.publish import publish

# Opening the editing page ten times in a row must cause one notification, not ten.
EDIT_STARTED_ONCE_PER = timedelta(minutes=10)


class Conflict(Exception):
    """Another save came first. Contains both versions in full; `theirs` is None if the document was deleted."""

    def __init__(self, *, yours: Draft, theirs: Document | None) -> None:
        super().__init__(f"{theirs.slug} is at version {theirs.version}" if theirs else "the document was deleted")
        self.yours = yours
        self.theirs = theirs


class ChangedMeanwhile(Exception):
    """The version of the document differs from the one that the user saw before deleting it."""


def create_document(user: User, *, title: str, body: str, form: UUID | None = None) -> Document:
    """Create a document, once per form. `form` is the form's key, or None for a caller without repeats.

    Raises:
        Repeated: the same form with the same text was accepted before.

    """
    draft = Draft(title, body)
    try:
        return _create(user, draft, form)
    except IntegrityError:
        # A copy of the same form was accepted concurrently.
        submissions.refuse_repeat(user, form, draft)
        raise


@transaction.atomic
def _create(user: User, draft: Draft, form: UUID | None) -> Document:
    submissions.refuse_repeat(user, form, draft)
    document = Document.objects.create(title=draft.title, body=draft.body, author=user, updated_by=user)
    submissions.accept(user, form, draft, document)
    _notify(user, "created", document)
    return document


@transaction.atomic
def update_document(user: User, pk: int, *, version: int, title: str, body: str, form: UUID | None = None) -> Document:
    """Save over `version` only: the comparison is part of the UPDATE, so two concurrent saves cannot both pass it.

    A save without changes creates neither a version nor a notification, and returns the document unchanged.

    Raises:
        Repeated: the same form with the same text was accepted before.
        Conflict: the document has another version, or was deleted.

    """
    draft = Draft(title, body)
    submissions.refuse_repeat(user, form, draft)
    saved = (
        Document.objects.filter(pk=pk, version=version)
        .exclude(title=title, body=body)
        .update(title=title, body=body, version=F("version") + 1, updated_at=Now(), updated_by=user)
    )
    document = Document.objects.select_related("author", "updated_by").filter(pk=pk).first()
    if saved and document:
        submissions.accept(user, form, draft, document)
        _notify(user, "updated", document)
        return document
    # A copy of the same form may have been accepted while this one waited for the row.
    submissions.refuse_repeat(user, form, draft)
    if document and (document.title, document.body) == (title, body):
        return document
    raise Conflict(yours=draft, theirs=document)


@transaction.atomic
def delete_document(user: User, pk: int, *, version: int | None = None) -> None:
    """Delete the document. `version` is the one that the user saw, or None.

    Raises:
        Document.DoesNotExist: the document was deleted before.
        ChangedMeanwhile: the document has another version now.
        PermissionDenied: the user is neither the author nor staff.

    """
    document = Document.objects.select_for_update().get(pk=pk)
    if not can_delete(user, document):
        raise PermissionDenied(f"user {user.pk} may not delete {document.slug}: only its author and staff may")
    if version not in (None, document.version):
        raise ChangedMeanwhile(f"{document.slug} is at version {document.version}, and {version} was to be deleted")
    _notify(user, "deleted", document)
    document.delete()


@transaction.atomic
def start_editing(user: User, pk: int) -> None:
    """Notify the other users that `user` edits the document, unless they were notified a short while ago."""
    # The lock ensures that only one of two tabs that open at once sends the notification.
    document = Document.objects.select_for_update().get(pk=pk)
    since = Now() - EDIT_STARTED_ONCE_PER
    recent = Notification.objects.filter(document=document, actor=user, verb="edit_started", created_at__gt=since)
    if not recent.exists():
        _notify(user, "edit_started", document)


@transaction.atomic
def mark_read(user: User, up_to: int) -> None:
    """Advance the pointer to a sequence number, never backwards and never past the newest event."""
    ReadPointer.objects.get_or_create(user=user)
    last_read = min(up_to, Notification.objects.newest())
    ReadPointer.objects.filter(user=user, last_read__lt=last_read).update(last_read=last_read)


def start_reading(user: User) -> None:
    """Mark earlier events as read for a new user; by number, because `date_joined` comes from one host's clock."""
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
    publish(
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
