"""The outbox and what its publishers share: the events to publish, the number of each topic, whose turn it is."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """An event as it will be published; the row is deleted once Redis has the event."""

    event_id = models.UUIDField(unique=True)
    topic = models.CharField(max_length=100)
    type = models.CharField(max_length=100)
    body = models.TextField()
    # The database's clock, here and below: the clocks of two hosts are never compared.
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} on {self.topic}"


class TopicSequence(models.Model):
    """The number of a topic's newest event. Only the publisher whose turn it is changes it."""

    topic = models.CharField(max_length=100, primary_key=True)
    sequence = models.BigIntegerField()
    used_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.topic}: {self.sequence}"


class PublisherTurn(models.Model):
    """The one row that says which publisher has its turn, and until when."""

    holder = models.CharField(max_length=120, default="")
    # Counts the turns: a publisher that was stopped recognises that others had theirs since.
    token = models.BigIntegerField(default=0)
    ends_at = models.DateTimeField(db_default=Now(), editable=False)
    # Rows of the outbox that have a number and may be published: [id, number]. A batch, and what Redis refused.
    numbered = models.JSONField(default=list, editable=False)

    def __str__(self) -> str:
        return f"{self.token}: {self.holder}"


class Sequenced(models.Model):
    """A row that says in the database what an event says on a stream topic: a notification, a message of a room.

    Subclasses name the `stream`, and publish an event with the row's `event_id` in the transaction that creates the
    row. The publisher writes the event's number into `sequence`: see `tidewire.outbox` for what may be read from it.
    Until then, some milliseconds after the commit, it is None.
    """

    stream: ClassVar[str]

    event_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sequence = models.BigIntegerField(null=True, unique=True, editable=False)

    class Meta:
        abstract = True
