"""The list of notifications, the number of unread ones, and the redirect from a notification to its document."""

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect

from dashboard import actions
from dashboard.models import Notification
from web.generic import ListView
from web.pages import LivePage, UserRequest, UserView
from web.templatetags.text import isolate


class NotificationList(LivePage, ListView[Notification]):
    template_name = "web/notifications.html"
    nav = "notifications"
    paginate_by = 25

    def get_queryset(self) -> QuerySet[Notification]:
        return Notification.objects.all()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        context["unread_ids"] = set(
            Notification.objects.unread_by(self.request.user)
            .filter(pk__in=[notification.pk for notification in context["page_obj"]])
            .values_list("pk", flat=True)
        )
        return context


class OpenNotification(UserView):
    """Redirects to the document, or shows that it was deleted."""

    def get(self, request: UserRequest, pk: int) -> HttpResponseRedirect:
        notification = get_object_or_404(Notification.objects.select_related("document"), pk=pk)
        if notification.document:
            return redirect("document", notification.document.slug)
        messages.info(request, f"“{isolate(notification.title)}” was deleted, so there is nothing left to open.")
        return redirect("notifications")


class MarkRead(UserView):
    def get(self, _request: UserRequest) -> HttpResponse:
        """Redirect after a login: its `next` is the address of the form."""
        return redirect("notifications")

    def post(self, request: UserRequest) -> HttpResponse:
        up_to = request.POST.get("up_to", "")
        # `isdecimal` alone would accept a number that no database column can store.
        if not (up_to.isdecimal() and len(up_to) < 19):
            return HttpResponseBadRequest("up_to is the sequence number of a notification")
        actions.mark_read(request.user, int(up_to))
        return redirect("notifications")


class Unread(UserView):
    """Returns the current count, for pages that were suspended or missed events."""

    def get(self, request: UserRequest) -> JsonResponse:
        newest = Notification.objects.newest()
        # Later notifications reach the page as events.
        unread = Notification.objects.count_unread(request.user, up_to=newest)
        body = {"unread": unread, "newest": newest}
        return JsonResponse(body, headers={"Cache-Control": "no-store"})
