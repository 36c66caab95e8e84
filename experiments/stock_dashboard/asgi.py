"""The part that Daphne serves: sessions, a group for each topic, and a consumer for each route."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ws.settings")
get_asgi_application()

# Consumers use models, which exist only after Django has been set up.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import path  # noqa: E402

from experiments.stock_dashboard import stock_consumers  # noqa: E402


async def alive(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer with 200 to show that the process is alive."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok\n"})


application = ProtocolTypeRouter(
    {
        "http": alive,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        path("ws/users/", stock_consumers.UsersConsumer.as_asgi()),
                        path("ws/documents/", stock_consumers.DocumentsConsumer.as_asgi()),
                        path("ws/document/<slug:slug>/<str:phase>/", stock_consumers.DocumentConsumer.as_asgi()),
                        path("ws/notifications/", stock_consumers.NotificationsConsumer.as_asgi()),
                    ]
                )
            )
        ),
    }
)
