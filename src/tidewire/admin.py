"""The outbox in Django's admin, read-only: actions create its rows and the publisher deletes them."""

from django.contrib import admin
from django.http import HttpRequest

from tidewire.models import OutboxEvent


@admin.register(OutboxEvent)
class OutboxEventAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Events that are committed and not published yet. Rows accumulate if the relay or Redis is unavailable."""

    list_display = ("id", "topic", "type", "event_id", "created_at")
    list_filter = ("topic", "type")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: OutboxEvent | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: OutboxEvent | None = None) -> bool:
        return False
