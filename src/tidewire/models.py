"""The outbox: stream events that were committed and are not published yet."""

from django.db import models


class OutboxEvent(models.Model):
    """An event as it will be published; its row goes once Redis has it. Order is the id's."""

    event_id = models.CharField(max_length=64, unique=True)
    topic = models.CharField(max_length=100)
    type = models.CharField(max_length=100)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.type} {self.event_id} on {self.topic}"
