"""The documents, their notifications, and the read pointers of users. Only `dashboard.actions` writes them."""

import uuid
from typing import Any, Literal, get_args

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models, transaction
from django.db.models.functions import Coalesce, Now
from django.utils.text import slugify

from tidewire.models import Sequenced

TITLE_LENGTH = 200
# Enough for a long report, and small enough to show two versions and their comparison on one page.
BODY_LENGTH = 100_000
# A slug is part of topic names, routes and Redis keys, so it must be short whatever the title.
SLUG_LENGTH = 60
# A primary key is a signed integer of 64 bits, so it has 19 digits at most.
PK_DIGITS = 19
# Every page counts the unread notifications, up to this number of rows.
UNREAD_LIMIT = 1000

Verb = Literal["created", "updated", "deleted", "edit_started"]


class Document(models.Model):
    """A document. Its slug ends in its primary key, so that a slug can never name another document later."""

    slug = models.SlugField(max_length=SLUG_LENGTH, unique=True, editable=False)
    title = models.CharField(max_length=TITLE_LENGTH)
    body = models.TextField(max_length=BODY_LENGTH, blank=True)
    # Former users should be deactivated instead of deleted, so that their documents keep an author.
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="documents")
    version = models.PositiveIntegerField(default=1, editable=False)
    # The database's clock, so that the order of the list does not depend on the clock of a host.
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)
    updated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        # The second key makes the order total, so that the list neither repeats nor skips a row across pages.
        ordering = ["-updated_at", "-pk"]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row. The slug of a new document is set here, because the database assigns the primary key."""
        if self.slug:
            super().save(*args, **kwargs)
            return
        with transaction.atomic(savepoint=False):
            # A unique placeholder, replaced before the transaction commits.
            self.slug = uuid.uuid4().hex
            super().save(*args, **kwargs)
            self.slug = slug_of(self.title, self.pk)
            super().save(update_fields=["slug"])


def slug_of(title: str, pk: int) -> str:
    """Return the slug of a document: words of the title, then the primary key.

    Each slug ends in `-` and the key of its document, so two slugs can never be equal, whatever the titles.
    """
    end = f"-{pk}"
    words = slugify(title)[: SLUG_LENGTH - len(end)].strip("-_") or "document"
    return words + end


def pk_of(slug: str) -> int:
    """Return the primary key at the end of a slug; 0, which no document has, if there is none."""
    end = slug.rpartition("-")[2]
    return int(end) if end.isdecimal() and end.isascii() and len(end) < PK_DIGITS else 0


class NotificationQuerySet(models.QuerySet["Notification"]):
    def unread_by(self, user: AbstractBaseUser) -> "NotificationQuerySet":
        """Return the actions of other users since `user` joined and after the user's read pointer."""
        pointer = ReadPointer.objects.filter(user_id=user.pk).values("last_read")
        last_read = Coalesce(models.Subquery(pointer), models.Value(0), output_field=models.BigIntegerField())
        # A row that the publisher has not numbered yet is newer than any pointer.
        later = models.Q(sequence__gt=last_read) | models.Q(sequence__isnull=True)
        # `exclude(actor=user)` would drop rows without an actor, because a comparison with NULL is never true.
        by_others = models.Q(actor__isnull=True) | ~models.Q(actor_id=user.pk)
        return self.filter(later, by_others)

    def count_unread(self, user: AbstractBaseUser, *, up_to: int | None = None) -> int:
        """Return the number of unread notifications up to a sequence number; UNREAD_LIMIT if there are more."""
        unread = self.unread_by(user).order_by()
        if up_to is not None:
            unread = unread.filter(sequence__lte=up_to)
        return unread[:UNREAD_LIMIT].count()

    def newest(self) -> int:
        """Return the highest number, up to which a page has all notifications; 0 if there are none."""
        return int(self.aggregate(newest=models.Max("sequence"))["newest"] or 0)


class Notification(Sequenced):
    """An action of a user. Names are copied, so that the row is readable after the user or document was deleted.

    Pages and read pointers are ordered by `sequence`, the number of the row's event: see `tidewire.publishing.outbox`.
    """

    stream = "notifications"

    id = models.BigAutoField(primary_key=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    verb = models.CharField(max_length=12, choices=[(verb, verb.replace("_", " ")) for verb in get_args(Verb)])
    document = models.ForeignKey(Document, on_delete=models.SET_NULL, null=True, related_name="notifications")
    slug = models.SlugField(max_length=SLUG_LENGTH, db_index=False)
    title = models.CharField(max_length=TITLE_LENGTH)
    # The database's clock, because the clocks of two web hosts differ.
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        ordering = [models.F("sequence").desc(nulls_first=True), "-id"]
        indexes = [models.Index(fields=["document", "actor", "verb", "-created_at"], name="notification_recent")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.title}"


class Submission(models.Model):
    """A form that was accepted, so that the same form is not processed twice.

    A double click, a reload of the response and a retry after a lost response all send the same `key` with the same
    text. `dashboard.actions` prunes the table.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    # Generated by the server with the form.
    key = models.UUIDField(editable=False)
    # Of the form's text: a form that is sent again with another text is a new action.
    digest = models.CharField(max_length=64)
    document = models.ForeignKey(Document, on_delete=models.SET_NULL, null=True, related_name="+")
    version = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="submission_once")]

    def __str__(self) -> str:
        return f"{self.key}: version {self.version}"


class ReadPointer(models.Model):
    """A row per user instead of one per user and notification: all up to the number `last_read` are read."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="read_pointer")
    last_read = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.last_read}"


class NameSkeleton(models.Model):
    """A user's name in a form in which look-alike names are equal: `web.names`. A name has one or two."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="name_skeletons")
    # Each of 150 characters may decompose into three, each of which may map to several Latin letters.
    skeleton = models.CharField(max_length=1000, unique=True)

    def __str__(self) -> str:
        return self.skeleton
