"""Stock Channels under test: one group, joined on connect, and events forwarded as in the tutorial."""

from __future__ import annotations

import os
from typing import Any

from django.core.asgi import get_asgi_application

http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402 - models exist only after Django has been set up
from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import URLPattern, path  # noqa: E402
from redis.asyncio import Redis  # noqa: E402

from bench.event_publisher import GROUP, REDIS_URL  # noqa: E402

urlpatterns: list[URLPattern] = []
ONLINE = "bench:online"


class TicksConsumer(AsyncJsonWebsocketConsumer):
    """All events, for all clients."""

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def tick(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


class UsersConsumer(AsyncJsonWebsocketConsumer):
    """The number of connected users, which is sent to all of them when a user connects."""

    # The count's own pool is as large as the layer's, because a storm must not fail on redis-py's default of 100.
    redis = Redis.from_url(os.environ.get(REDIS_URL, "redis://127.0.0.1:6379/0"), max_connections=100_000)

    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()
        await self.redis.sadd(ONLINE, self.scope["user"].get_username())
        await self.channel_layer.group_send(GROUP, {"type": "users.count", "count": await self.redis.scard(ONLINE)})

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def users_count(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": URLRouter(
            [
                path("ws/bare/", TicksConsumer.as_asgi()),
                path("ws/ticks/", AuthMiddlewareStack(TicksConsumer.as_asgi())),
                path("ws/users/", AuthMiddlewareStack(UsersConsumer.as_asgi())),
            ]
        ),
    }
)
