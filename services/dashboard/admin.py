"""The admin of the dashboard's models, read-only except for documents, which only the actions write."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest

from dashboard import actions
from dashboard.models import Document, Notification, ReadPointer

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin  # takes its type parameter from the type checker only


def _staff(request: HttpRequest) -> User:
    return cast("User", request.user)  # the admin requires a login


class _NoForms:
    """Rows that only actions may write: a form would skip the version, the notification and the event."""

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, _request: HttpRequest, _obj: object = None) -> bool:
        return False


@admin.register(Document)
class DocumentAdmin(_NoForms, ModelAdmin):
    list_display = ["title", "slug", "author", "version", "updated_at", "updated_by"]
    list_filter = ["updated_at"]
    search_fields = ["title", "slug", "author__username"]
    list_select_related = ["author", "updated_by"]
    date_hierarchy = "created_at"
    fields = ["title", "slug", "body", "author", "version", "created_at", "updated_at", "updated_by"]

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        _delete(_staff(request), obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        # Evaluated once: only the rows listed on the confirmation page may be deleted.
        for pk in list(queryset.values_list("pk", flat=True)):
            _delete(_staff(request), pk)


def _delete(user: User, pk: int) -> None:
    # A second click or another user may have deleted the document already.
    with suppress(Document.DoesNotExist):
        actions.delete_document(user, pk)


@admin.register(Notification)
class NotificationAdmin(_NoForms, ModelAdmin):
    list_display = ["created_at", "actor_name", "verb", "title", "slug"]
    list_filter = ["verb", "created_at"]
    search_fields = ["actor_name", "title", "slug"]
    fields = ["sequence", "event_id", "created_at", "actor", "actor_name", "verb", "document", "slug", "title"]


@admin.register(ReadPointer)
class ReadPointerAdmin(ModelAdmin):
    list_display = ["user", "last_read"]
    search_fields = ["user__username"]
    autocomplete_fields = ["user"]
