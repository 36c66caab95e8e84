"""What every logged-in page shows around its content: the live header and the place its sockets resume from."""

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
    """A request behind `LoginRequiredMixin`: its user is nobody anonymous."""

    user: User


class UserView(LoginRequiredMixin, View):
    request: UserRequest


# No copy in the browser: after a logout its Back would show it, to whoever sits there then.
@method_decorator(cache_control(private=True, no_store=True), name="dispatch")
class LivePage(LoginRequiredMixin, TemplateResponseMixin, ContextMixin, View):
    """A page with the live header. Mix it in before the generic view that fills the page."""

    request: UserRequest
    nav = "documents"  # which link of the header leads here
    position: str | None = None
    newest_notification = 0

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # Both are read before anything the page shows. What happens after them reaches the page through its
        # sockets; what happens between the two is known by its number and not counted twice.
        if request.user.is_authenticated:
            # No save waits for Redis. The page of a refused form has no position, so it reads what it may have missed.
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
