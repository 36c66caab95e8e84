"""A consumer for each route, as in the tutorial: joins a group on connect, and forwards its events to the socket."""

from __future__ import annotations

import os
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from redis.asyncio import Redis

from experiments.stock_dashboard.apps import EPOCH, newest

# The pool is as large as the layer's, because a storm must not fail at redis-py's default of 100 connections.
redis = Redis.from_url(
    os.environ.get("TIDEWIRE_REDIS_URL", "redis://127.0.0.1:6379/0"), max_connections=100_000, decode_responses=True
)


class GroupConsumer(AsyncJsonWebsocketConsumer):
    """Logged-in users join `group` and receive its messages."""

    group = ""

    async def connect(self) -> None:
        if not self.scope["user"].is_authenticated:
            await self.close()
            return
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()
        await self.joined()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)
        await self.left()

    async def receive_json(self, content: dict[str, Any], **_more: Any) -> None:
        if content.get("type") == "ping":
            await self.send_json({"type": "pong"})

    async def joined(self) -> None: ...

    async def left(self) -> None: ...

    @property
    def name(self) -> str:
        return str(self.scope["user"].get_username())


class UsersConsumer(GroupConsumer):
    """The number of connected users, which is sent to all of them when a socket opens or closes."""

    group = "users"

    async def joined(self) -> None:
        await self._changed(1)

    async def left(self) -> None:
        await self._changed(-1)

    async def _changed(self, by: int) -> None:
        count = await _present("stock:users", self.name, by)
        await self.channel_layer.group_send(self.group, {"type": "users.count", "count": count})

    async def users_count(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


class NotificationsConsumer(GroupConsumer):
    """Notifications of all users' actions. There is no history: missed events are lost, and the client is notified."""

    group = "notifications"
    after = 0

    async def joined(self) -> None:
        self.after = await database_sync_to_async(newest)()
        at = f"{EPOCH}:{self.after}"
        asked = self.scope["query_string"].decode().replace("%3A", ":").removeprefix("at=notifications:")
        await self.send_json({"type": "resumed", "at": at, "recovered": asked == at})

    async def notification_created(self, event: dict[str, Any]) -> None:
        # The event was sent to the group before this socket had its position.
        if event["offset"] > self.after:
            await self.send_json(event)


class DocumentsConsumer(GroupConsumer):
    """The editors of all documents."""

    group = "documents"

    async def documents_status(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


class DocumentConsumer(GroupConsumer):
    """The readers and editors of a document; the route has the role of this socket's user."""

    async def connect(self) -> None:
        self.slug = self.scope["url_route"]["kwargs"]["slug"]
        self.group = f"document_{self.slug}"
        await super().connect()

    async def joined(self) -> None:
        await self._changed(1)

    async def left(self) -> None:
        await self._changed(-1)

    async def _changed(self, by: int) -> None:
        phase = self.scope["url_route"]["kwargs"]["phase"]
        await _present(f"stock:{self.slug}:{phase}", self.name, by)
        readers, editors = [await redis.hkeys(f"stock:{self.slug}:{each}") for each in ("read", "update")]
        people = {
            "phase": "update" if editors else "read" if readers else "free",
            "readers": readers[:20],
            "editors": editors[:20],
            "reader_count": len(readers),
            "editor_count": len(editors),
        }
        await self.channel_layer.group_send(self.group, {"type": "document.status", "slug": self.slug, **people})
        documents = {"complete": False, "documents": {self.slug: people}}
        await self.channel_layer.group_send(DocumentsConsumer.group, {"type": "documents.status", **documents})

    async def document_status(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


async def _present(key: str, name: str, by: int) -> int:
    """Add to a user's number of connections, and return the number of users."""
    if await redis.hincrby(key, name, by) <= 0:
        await redis.hdel(key, name)
    return int(await redis.hlen(key))
