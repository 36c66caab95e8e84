"""A small Channels project on tidewire, for tests of the library on its real server.

A socket of `/streams/<name>,<name>/` subscribes to stream topics. A socket of `/rooms/<name>,<name>/` subscribes to
rooms, which are state topics, and is present in them as the user that the query names.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs

import django
from django.conf import settings

REDIS_URL = os.environ["ROOMS_REDIS_URL"]

settings.configure(
    SECRET_KEY="for tests only",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "tidewire"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "max_connections": 100, "socket_timeout": None}]},
        }
    },
    TIDEWIRE={
        "REDIS_URL": REDIS_URL,
        "ADMIN_PORT": int(os.environ["ROOMS_ADMIN_PORT"]),
        "CONNECTIONS_PER_USER": 10_000,
        "DRAIN_SECONDS": 5.0,
        "PRESENCE_INDEXES": {"room": "rooms"},
    },
)
django.setup()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402 - models can be imported after django.setup
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402

from tidewire.auth.ticket import TicketUser  # noqa: E402
from tidewire.close_codes import CloseCode  # noqa: E402
from tidewire.consumers import LiveConsumer  # noqa: E402
from tidewire.events import StateEvent  # noqa: E402
from tidewire.presence import Presence, PresenceKey  # noqa: E402
from tidewire.routing import with_fallback  # noqa: E402
from tidewire.topics import StateTopic, StreamTopic, Topic  # noqa: E402


class RoomStatus(StateEvent):
    """The members of a room, and a text of the size that the room's name contains."""

    type: Literal["room.status"] = "room.status"
    names: tuple[str, ...]
    text: str = ""


@dataclass(frozen=True)
class RoomTopic(StateTopic):
    """A room. The status of `room.big-5000` has 5,000 characters of text."""

    async def read(self, presence: Presence, version: int) -> RoomStatus:
        [members] = await presence.members([(self.name, "in")], names=20)
        _, _, size = self.name.partition("big-")
        return RoomStatus(topic=self.name, version=version, names=members.names, text="x" * int(size or 0))


class Base(LiveConsumer):
    """A socket that any user may open. Its `names` come from the path."""

    async def authorize(self) -> CloseCode | None:
        return None

    @property
    def names(self) -> list[str]:
        return str(self.scope["url_route"]["kwargs"]["names"]).split(",")


class StreamsConsumer(Base):
    """A socket on stream topics."""

    def topics(self) -> Sequence[Topic]:
        return [StreamTopic(name) for name in self.names]


class RoomsConsumer(Base):
    """A socket in rooms."""

    def topics(self) -> Sequence[Topic]:
        return [RoomTopic(f"room.{name}") for name in self.names]

    def presence(self) -> Sequence[PresenceKey]:
        return [PresenceKey(f"room.{name}", "in", self.scope["user"].get_username()) for name in self.names]


def named(application: Any) -> Any:
    """ASGI middleware that sets the user named in the query."""

    async def with_user(scope: dict[str, Any], receive: Any, send: Any) -> None:
        name = parse_qs(scope["query_string"].decode()).get("user", ["ada"])[0]
        await application({**scope, "user": TicketUser(name, name)}, receive, send)

    return with_user


application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": named(
            with_fallback(
                URLRouter(
                    [
                        path("streams/<str:names>/", StreamsConsumer.as_asgi()),
                        path("rooms/<str:names>/", RoomsConsumer.as_asgi()),
                    ]
                )
            )
        ),
    }
)
