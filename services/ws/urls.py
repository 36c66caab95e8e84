"""ws serves no pages: its sockets are in `ws.routing`, health and metrics on the admin port."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
