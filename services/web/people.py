"""The page of all users on the dashboard."""

from typing import Any

from django.views.generic import TemplateView

from dashboard import live
from web.pages import LivePage


class People(LivePage, TemplateView):
    template_name = "web/people.html"
    nav = "people"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(names=live.everyone(), **kwargs)
