"""Accepted forms: recognises a form that is sent twice, and prunes the records."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Now

from dashboard.models import Document, Submission

# Longer than a browser keeps a page in its history, or a laptop is closed over a holiday.
KEPT = timedelta(days=30)
# Every 64th submission also prunes, at most this many rows, which limits the work of a save.
PRUNED_ONCE_PER = 64
PRUNED_ROWS = 1000


@dataclass(frozen=True)
class Draft:
    """The text of a form."""

    title: str
    body: str

    @property
    def digest(self) -> str:
        """Return a fingerprint of the text. A title cannot contain a null character, so the parts are unambiguous."""
        return hashlib.sha256(f"{self.title}\0{self.body}".encode()).hexdigest()


class Repeated(Exception):
    """The same form with the same text was accepted before.

    `document` is None if it was deleted since; `version` is the version that the form created.
    """

    def __init__(self, submission: Submission) -> None:
        super().__init__(f"form {submission.key} was accepted at {submission.created_at:%Y-%m-%d %H:%M:%S}")
        self.document = submission.document
        self.version = submission.version


def refuse_repeat(user: User, form: UUID | None, draft: Draft) -> None:
    """Raise `Repeated` if the user's form was accepted with this text."""
    if form is None:
        return
    submission = _accepted(user, form, draft).select_related("document").first()
    if submission:
        raise Repeated(submission)


def accepted(user: User, form: UUID | None, draft: Draft) -> bool:
    """Return whether the user's form was accepted with this text."""
    return form is not None and _accepted(user, form, draft).exists()


def _accepted(user: User, form: UUID, draft: Draft) -> QuerySet[Submission]:
    return Submission.objects.filter(user=user, key=form, digest=draft.digest)


def accept(user: User, form: UUID | None, draft: Draft, document: Document | None) -> None:
    """Record the form, as part of the transaction that processes it.

    Raises `IntegrityError` if the same form with the same text was accepted concurrently.
    """
    if form is None:
        return
    values = {"digest": draft.digest, "document": document, "version": document.version if document else 0}
    # A row with the same text is excluded, so that a copy of the form violates the constraint below.
    if (
        not Submission.objects.filter(user=user, key=form)
        .exclude(digest=draft.digest)
        .update(**values, created_at=Now())
    ):
        Submission.objects.create(user=user, key=form, **values)
    if form.int % PRUNED_ONCE_PER == 0:
        prune()


def prune() -> int:
    """Delete the oldest of the expired rows. Returns their number."""
    old = Submission.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at")
    deleted, _ = Submission.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PRUNED_ROWS])).delete()
    return deleted
