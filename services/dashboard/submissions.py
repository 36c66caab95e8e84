"""Forms that were accepted: what a form sent twice is recognised by, and what prunes the record."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.functions import Now

from dashboard.models import Document, Submission

# Longer than a browser keeps a page to go back to, or a laptop stays closed over a holiday.
KEPT = timedelta(days=30)
# Prune with one submission in this many, at most that many rows: the work of a save stays bounded.
PRUNED_ONCE_PER = 64
PRUNED_ROWS = 1000


@dataclass(frozen=True)
class Draft:
    """The text of a form."""

    title: str
    body: str

    @property
    def digest(self) -> str:
        """A fingerprint of the text. The title has no null character, so no two texts run together."""
        return hashlib.sha256(f"{self.title}\0{self.body}".encode()).hexdigest()


class Repeated(Exception):
    """The same form with the same text was accepted before.

    `document` is None if it was deleted since; `version` is the version that the form made.
    """

    def __init__(self, submission: Submission) -> None:
        super().__init__(f"form {submission.key} was accepted at {submission.created_at:%Y-%m-%d %H:%M:%S}")
        self.document = submission.document
        self.version = submission.version


def refuse_repeat(user: User, form: UUID | None, draft: Draft) -> None:
    """Raise `Repeated` if the user's form was accepted with this text."""
    if form is None:
        return
    found = _accepted(user, form, draft).select_related("document").first()
    if found:
        raise Repeated(found)


def accepted(user: User, form: UUID | None, draft: Draft) -> bool:
    """Return whether the user's form was accepted with this text."""
    return form is not None and _accepted(user, form, draft).exists()


def _accepted(user: User, form: UUID, draft: Draft) -> QuerySet[Submission]:
    return Submission.objects.filter(user=user, key=form, digest=draft.digest)


def accept(user: User, form: UUID | None, draft: Draft, document: Document | None) -> None:
    """Record that the form was carried out, as part of the transaction that does so.

    Raises `IntegrityError` if the same form with the same text was accepted in parallel.
    """
    if form is None:
        return
    made = {"digest": draft.digest, "document": document, "version": document.version if document else 0}
    # A row with this very text is left alone, so that its copy meets the constraint below.
    if not Submission.objects.filter(user=user, key=form).exclude(digest=draft.digest).update(**made, created_at=Now()):
        Submission.objects.create(user=user, key=form, **made)
    if form.int % PRUNED_ONCE_PER == 0:
        prune()


def prune() -> int:
    """Delete the oldest of the rows that are past their time. Returns how many."""
    old = Submission.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at")
    deleted, _ = Submission.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:PRUNED_ROWS])).delete()
    return deleted
