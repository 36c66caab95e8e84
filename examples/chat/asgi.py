"""A chat on plain Channels: one consumer, one group for each room, nothing of tidewire.

Start it with `daphne -p 8100 examples.chat.asgi:application`, or with the word `tidewire` in place of `daphne`. Several
servers need a `REDIS_URL` between them.
"""

from __future__ import annotations

import os
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path


def channel_layer() -> dict[str, Any]:
    """Return the layer: in memory, or on Redis, of channels_redis or of the class that CHANNEL_LAYER names."""
    if "REDIS_URL" not in os.environ:
        return {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    backend = os.environ.get("CHANNEL_LAYER") or "channels_redis.pubsub.RedisPubSubChannelLayer"
    return {"BACKEND": backend, "CONFIG": {"hosts": [{"address": os.environ["REDIS_URL"], "socket_timeout": None}]}}


if not settings.configured:
    settings.configure(
        SECRET_KEY="an example has no secrets",  # noqa: S106 - no secret
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=(),
        CHANNEL_LAYERS={"default": channel_layer()},
    )


class ChatConsumer(AsyncJsonWebsocketConsumer):
    """Passes each message of a client on to all clients in the room, the sender included."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: Any, **_more: Any) -> None:
        await self.channel_layer.group_send(self.room, {"type": "chat.message", "content": content})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([path("ws/chat/<slug:room>/", ChatConsumer.as_asgi())]),
    }
)
