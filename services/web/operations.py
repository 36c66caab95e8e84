"""The operations page: the state of the nodes, for staff, and the confirmation before a drain."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.generic import TemplateView

from dashboard import operations
from dashboard.permissions import can_operate
from tidewire.exceptions import RedisUnavailable
from web.pages import LivePage

NOT_LISTENING = "{node} is not listening: it drains already, or has ended."
REDIS_UNAVAILABLE = (
    "Redis does not answer, so no command reaches a node. On the node's own host, run: python -m tidewire drain."
)


class StaffPage(LivePage):
    nav = "operations"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # An anonymous user is redirected to the login, as on any page.
        if request.user.is_authenticated and not can_operate(request.user):
            raise PermissionDenied("The operations pages are for staff. If you need them, ask an administrator.")
        return super().dispatch(request, *args, **kwargs)


class Operations(StaffPage, TemplateView):
    template_name = "web/operations.html"


class DrainNode(StaffPage, TemplateView):
    template_name = "web/drain.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        node = self.kwargs["node"]
        try:
            listening = [each for each in operations.nodes() if operations.is_listening(each)]
        except RedisUnavailable:
            return super().get_context_data(unavailable=REDIS_UNAVAILABLE, **kwargs)
        report = next((each for each in listening if each.node == node), None)
        return super().get_context_data(report=report, others=len(listening) - 1, **kwargs)

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        if "unavailable" in context or context["report"]:
            return super().render_to_response(context, **kwargs)
        messages.warning(self.request, NOT_LISTENING.format(node=self.kwargs["node"]))
        return redirect("operations")

    def post(self, request: HttpRequest, node: str) -> HttpResponseBase:
        try:
            operations.drain_node(self.request.user, node)
        except operations.NotListening:
            messages.warning(request, NOT_LISTENING.format(node=node))
        except RedisUnavailable:
            messages.error(request, REDIS_UNAVAILABLE)
        else:
            messages.success(request, f"{node} will drain.")
        return redirect("operations")
