"""The outbox and the state that its publishers share: the events, the number of each topic, and the turn."""

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
    # The database's clock, here and below, because the clocks of two hosts must not be compared.
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} on {self.topic}"


class TopicSequence(models.Model):
    """The number of a topic's newest event. Only the publisher that has its turn may change it."""

    topic = models.CharField(max_length=100, primary_key=True)
    sequence = models.BigIntegerField()
    used_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"{self.topic}: {self.sequence}"


class PublisherTurn(models.Model):
    """The only row: the publisher that has its turn, and the end of the turn."""

    holder = models.CharField(max_length=120, default="")
    # Counts the turns, so that a publisher that was suspended can detect the turns of others.
    token = models.BigIntegerField(default=0)
    ends_at = models.DateTimeField(db_default=Now(), editable=False)
    # Rows of the outbox that have a number and may be published, as [id, number]: a batch, and events that Redis
    # refused.
    numbered = models.JSONField(default=list, editable=False)

    def __str__(self) -> str:
        return f"{self.token}: {self.holder}"


class Sequenced(models.Model):
    """A row with the content of an event of a stream topic: a notification, a message of a room.

    Subclasses must define the `stream`, and publish an event with the row's `event_id` in the transaction that creates
    the row. See `tidewire.publishing.outbox` for the guarantees.

    Attributes:
        stream: Name of the stream topic of the rows' events.
        event_id: Id of the row's event.
        sequence: Number of the row's event, written by the publisher some milliseconds after the commit; None before.

    Example:
        >>> from django.db import models
        >>> class Message(Sequenced):
        ...     stream = "talk"
        ...     text = models.TextField()
        ...     class Meta:
        ...         ordering = [models.F("sequence").desc(nulls_first=True), "-id"]
        >>> Message(text="hello").sequence is None
        True

    """

    stream: ClassVar[str]

    event_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    sequence = models.BigIntegerField(null=True, unique=True, editable=False)

    class Meta:
        abstract = True
