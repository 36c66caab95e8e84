"""The chat's project with rooms that show their members: consumers of Channels with the mixins for presence."""

import json
import os
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.contract.chat.settings")
django_asgi_app = get_asgi_application()

from tidewire.contrib.presence import PresenceMixin, SyncPresenceMixin  # noqa: E402 - settings must be set first


class RoomConsumer(PresenceMixin, AsyncWebsocketConsumer):
    """Shows the members of a room."""

    async def connect(self) -> None:
        await self.accept()
        await self.presence_join(self.scope["url_route"]["kwargs"]["room_name"], self.scope["query_string"].decode())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise RuntimeError("a fault of the project")

    async def presence_changed(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event["names"]))


class SyncRoomConsumer(SyncPresenceMixin, WebsocketConsumer):
    """The same in a thread."""

    def connect(self) -> None:
        self.accept()
        self.presence_join(self.scope["url_route"]["kwargs"]["room_name"], self.scope["query_string"].decode())

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise RuntimeError("a fault of the project")

    def presence_changed(self, event: dict[str, Any]) -> None:
        self.send(text_data=json.dumps(event["names"]))


application = ProtocolTypeRouter(
    {
        "http": django_asgi_app,
        "websocket": URLRouter(
            [
                re_path(r"ws/rooms/(?P<room_name>\w+)/$", RoomConsumer.as_asgi()),
                re_path(r"ws/sync_rooms/(?P<room_name>\w+)/$", SyncRoomConsumer.as_asgi()),
            ]
        ),
    }
)
