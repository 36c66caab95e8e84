"""A consumer for each route, as the tutorial has them: a group joined on connect, an event sent on to the socket."""

from __future__ import annotations

import os
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from redis.asyncio import Redis

from loadtest.stock.apps import EPOCH, newest

# A pool as large as the layer's: a storm must not fail on redis-py's default of 100.
redis = Redis.from_url(
    os.environ.get("TIDEWIRE_REDIS_URL", "redis://127.0.0.1:6379/0"), max_connections=100_000, decode_responses=True
)


class GroupConsumer(AsyncJsonWebsocketConsumer):
    """Who is logged in is in `group`, and gets what is sent there."""

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
    """How many users are here, told to all whenever one comes or goes."""

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
    """What everybody does. There is no history: what was missed is missed, and the client is told so."""

    group = "notifications"
    after = 0

    async def joined(self) -> None:
        self.after = await database_sync_to_async(newest)()
        at = f"{EPOCH}:{self.after}"
        asked = self.scope["query_string"].decode().replace("%3A", ":").removeprefix("at=notifications:")
        await self.send_json({"type": "resumed", "at": at, "recovered": asked == at})

    async def notification_created(self, event: dict[str, Any]) -> None:
        # Sent to the group before this socket knew where it stands.
        if event["offset"] > self.after:
            await self.send_json(event)


class DocumentsConsumer(GroupConsumer):
    """Who edits, for all documents."""

    group = "documents"

    async def documents_status(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


class DocumentConsumer(GroupConsumer):
    """Who reads and who edits one document; the route says as what this socket is there."""

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
    """One more or one fewer connection of a user; how many users there are."""
    if await redis.hincrby(key, name, by) <= 0:
        await redis.hdel(key, name)
    return int(await redis.hlen(key))
