"""The common parts of all pages for authenticated users: the live header and the sockets' resume position."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import method_decorator
from django.views.decorators.cache import cache_control
from django.views.generic.base import ContextMixin, TemplateResponseMixin, View

from dashboard import live
from dashboard.models import Notification


class UserRequest(HttpRequest):
    """A request behind `LoginRequiredMixin`, which excludes anonymous users."""

    user: User


class UserView(LoginRequiredMixin, View):
    request: UserRequest


# The browser must not cache the page: after a logout, its Back button would show it to the next user.
@method_decorator(cache_control(private=True, no_store=True), name="dispatch")
class LivePage(LoginRequiredMixin, TemplateResponseMixin, ContextMixin, View):
    """A page with the live header. Must precede the generic view that fills the page."""

    request: UserRequest
    nav = "documents"  # the active link in the header
    position: str | None = None
    newest_notification = 0

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Both are read before any content of the page. Later events reach the page through its sockets; events between
        # the two reads are recognised by their number and not counted twice.
        if request.user.is_authenticated:
            # A save must not wait for Redis. The page of a refused form has no position, so it reads the events it may
            # have missed.
            self.position = None if request.method == "POST" else live.position()
            self.newest_notification = Notification.objects.newest()
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        unread_count = Notification.objects.count_unread(self.request.user, up_to=self.newest_notification)
        return super().get_context_data(
            nav=self.nav,
            position=self.position,
            newest_notification=self.newest_notification,
            users=live.users(),
            unread_count=unread_count,
            **kwargs,
        )
