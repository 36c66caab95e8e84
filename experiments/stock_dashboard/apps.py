"""The part of the web processes: publishes events to groups, and puts the newest notification's position into pages."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.apps import AppConfig
from django.db import transaction

# The primary key numbers the notifications; there is no other history.
EPOCH = "stock"


class Stock(AppConfig):
    name = "experiments.stock_dashboard"

    def ready(self) -> None:
        from dashboard import actions, live

        # These two modules are the seam between pages and live parts: all publishers and readers of positions use
        # them.
        actions.publish = publish  # type: ignore[attr-defined]  # imported by name there
        live.position = position


def publish(topic: str, event: Any) -> None:
    message = {**event.model_dump(mode="json", exclude_none=True), "offset": event.notification_id}
    transaction.on_commit(lambda: async_to_sync(get_channel_layer().group_send)(topic, message))


def position() -> str:
    return f"{EPOCH}:{newest()}"


def newest() -> int:
    from dashboard.models import Notification

    return Notification.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
