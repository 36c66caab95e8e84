"""tidewire's applications under test: those of the ws service, with the bench's sockets among the routes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import django

django.setup()

from django.urls import path  # noqa: E402 - models, which the rest imports, exist only after django.setup

from dashboard.topics import NOTIFICATIONS, ONLINE, USERS  # noqa: E402
from tidewire.auth.ticket import TicketUser  # noqa: E402
from tidewire.close_codes import CloseCode  # noqa: E402
from tidewire.consumers import LiveConsumer  # noqa: E402
from tidewire.presence import PresenceKey  # noqa: E402
from tidewire.topics import Topic  # noqa: E402
from ws.routing import websocket_urlpatterns  # noqa: E402


class TicksConsumer(LiveConsumer):
    """A socket with the dashboard's notifications and the presence of its user."""

    def topics(self) -> Sequence[Topic]:
        return (NOTIFICATIONS,)

    def presence(self) -> Sequence[PresenceKey]:
        return (PresenceKey(USERS.name, ONLINE, self.scope["user"].get_username()),)


class OpenTicksConsumer(LiveConsumer):
    """The same without authentication, and without presence."""

    async def authorize(self) -> CloseCode | None:
        return None

    def topics(self) -> Sequence[Topic]:
        return (NOTIFICATIONS,)


# Before the import of ws.asgi, which makes its router of these routes. All layers around the router are as shipped.
websocket_urlpatterns.append(path("ws/ticks/", TicksConsumer.as_asgi()))

from ws.asgi import application as shipped  # noqa: E402

_open = OpenTicksConsumer.as_asgi()
# Connections of a user are limited, so each unauthenticated connection must have a user number of its own.
_numbers = itertools.count(1)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application as shipped. Only `/ws/bare/` bypasses authentication, as bare Channels applications do."""
    if scope["type"] == "websocket" and scope["path"] == "/ws/bare/":
        await _open({**scope, "user": TicketUser(next(_numbers), "")}, receive, send)
    else:
        await shipped(scope, receive, send)


async def plain(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The same on a server without a writer of its own."""
    scope.get("extensions", {}).pop("tidewire.writer", None)
    await application(scope, receive, send)
