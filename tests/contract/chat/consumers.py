"""The chat of Channels' tutorial, async and sync, and consumers with the faults that a project may have."""

import json
import os
import time
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import InMemoryChannelLayer, get_channel_layer

DISCONNECTED: list[int] = []
LONG_SECONDS = 2.0


def members() -> int:
    """Return the number of members of all groups in memory."""
    layer = get_channel_layer()
    return sum(len(group) for group in layer.groups.values()) if isinstance(layer, InMemoryChannelLayer) else 0


def record(code: int) -> None:
    """Note that a `disconnect` handler ran, in this process and for a test that waits for its end."""
    DISCONNECTED.append(code)
    if "CHAT_RECORD" in os.environ:
        with Path(os.environ["CHAT_RECORD"]).open("a") as file:
            file.write(f"{code} {members()}\n")


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.room_group_name = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        await self.channel_layer.group_add(self.room_group_name, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room_group_name, self.channel_name)
        record(code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data or "{}")
        await self.channel_layer.group_send(self.room_group_name, {"type": "chat.message", **message})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"message": event["message"]}))


class SyncChatConsumer(WebsocketConsumer):
    def connect(self) -> None:
        self.room_group_name = f"chat_{self.scope['url_route']['kwargs']['room_name']}"
        async_to_sync(self.channel_layer.group_add)(self.room_group_name, self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)(self.room_group_name, self.channel_name)
        record(code)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = json.loads(text_data or "{}")
        async_to_sync(self.channel_layer.group_send)(self.room_group_name, {"type": "chat.message", **message})

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=json.dumps({"message": event["message"]}))


class MutatingConsumer(ChatConsumer):
    """Writes into the event, also below its first level: the next consumer must not see it."""

    async def chat_message(self, event: dict[str, Any]) -> None:
        seen = event.get("seen", [])
        seen.append(self.scope["url_route"]["kwargs"]["name"])
        event["message"] = f"{event['message']}!"
        await self.send(text_data=json.dumps({"message": event["message"], "seen": seen}))


class SyncMutatingConsumer(SyncChatConsumer):
    """The same in a thread."""

    def chat_message(self, event: dict[str, Any]) -> None:
        seen = event.get("seen", [])
        seen.append(self.scope["url_route"]["kwargs"]["name"])
        event["message"] = f"{event['message']}!"
        self.send(text_data=json.dumps({"message": event["message"], "seen": seen}))


class RaisingConsumer(ChatConsumer):
    async def chat_message(self, event: dict[str, Any]) -> None:
        raise RuntimeError("a fault of the project")


class SyncRaisingConsumer(SyncChatConsumer):
    def chat_message(self, event: dict[str, Any]) -> None:
        raise RuntimeError("a fault of the project")


class LongConsumer(SyncChatConsumer):
    """A sync handler that takes long, with a message before and after its work."""

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data="begun")
        time.sleep(LONG_SECONDS)
        self.send(text_data="ended")


class FloodConsumer(ChatConsumer):
    """Sends megabytes to its client, which a test lets read or not."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for _ in range(int(text_data or 0)):
            await self.send(text_data="x" * 10_000)


class SyncFloodConsumer(SyncChatConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for _ in range(int(text_data or 0)):
            self.send(text_data="x" * 10_000)


class OwnDispatchConsumer(ChatConsumer):
    """Left alone by `tidewire.adopt`."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        await super().dispatch(message)


class RefusingConsumer(AsyncWebsocketConsumer):
    """Refuses one client, and closes another with a code of the project."""

    async def connect(self) -> None:
        if self.scope["query_string"] == b"refuse":
            await self.close()
            return
        await self.accept()
        await self.close(code=4321)
