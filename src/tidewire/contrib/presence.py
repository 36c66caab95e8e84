"""Presence for any consumer of Channels: the members of a room, on all processes, without a dictionary in a cache.

A member leaves when the last of its sockets closes, and when a process dies. The node starts with the first consumer
that joins, and needs the setting REDIS_URL.
"""

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from asgiref.sync import async_to_sync
from channels.exceptions import ChannelFull

from tidewire import asgi
from tidewire.auth.visitors import member_name
from tidewire.conf import settings
from tidewire.events import StateEvent, decode_any
from tidewire.exceptions import REDIS_UNAVAILABLE_ERRORS
from tidewire.fanout.connection import Connection, attempt
from tidewire.fanout.frames import Frame
from tidewire.fanout.positions import Positions
from tidewire.fanout.subscription import Subscription
from tidewire.pages import ROOM_PHASE, room_topic
from tidewire.presence import Members, Presence, PresenceKey
from tidewire.server.current_node import node, register
from tidewire.server.node import Feature, Node
from tidewire.topics import StateTopic, check_name

__all__ = ["PresenceMixin", "SyncPresenceMixin"]

logger = logging.getLogger(__name__)


class RoomMembers(StateEvent):
    """The members of a room, within the node."""

    type: Literal["presence.members"] = "presence.members"
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class RoomTopic(StateTopic):
    """The members of one room."""

    async def read(self, presence: Presence, version: int) -> RoomMembers:
        [members] = await presence.members([(self.name, ROOM_PHASE)], names=settings().MAX_PRESENCE_NAMES)
        return RoomMembers(topic=self.name, version=version, count=members.count, names=members.names)


class _Room:
    """A room on this node: follows its members, and passes changes to the group of its consumers on this node.

    A `Writer` for the hub, by which the topic's value reaches this class instead of a socket.
    """

    backlog = 0

    def __init__(self, name: str, this_node: Node, layer: Any) -> None:
        self.sockets = 0
        digest = hashlib.sha256(f"{this_node.name}\0{name}".encode()).hexdigest()[:20]
        self.group = f"{this_node.settings.PREFIX}.presence.{digest}"
        self._name = name
        self._node = this_node
        self._layer = layer
        self._last: RoomMembers | None = None
        self._task: asyncio.Task[None] | None = None
        listener = Connection(
            self,
            consumer="presence",
            user="",
            session="",
            limit=0,
            close=lambda _code: None,
            on_full=lambda _connection: None,
        )
        self._subscription: Subscription = this_node.hub.subscribe(RoomTopic(room_topic(name)), listener, Positions({}))

    def end(self) -> None:
        self._node.hub.unsubscribe(self._subscription)

    def write(self, frames: list[Frame], wire: bytes) -> None:
        for frame in frames:
            event = decode_any(frame.text)
            if isinstance(event, RoomMembers):
                self._last = event
        if self._last is not None and self._task is None and self._layer is not None:
            self._task = asyncio.ensure_future(self._send())

    def try_write(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        self.write(frames, wire)
        return True

    def abort(self) -> None:
        """There is no connection to abort."""

    async def _send(self) -> None:
        """Send the newest value, and again if it has changed meanwhile."""
        try:
            while (value := self._last) is not None:
                self._last = None
                message = {
                    "type": "presence.changed",
                    "room": self._name,
                    "count": value.count,
                    "names": list(value.names),
                }
                await self._layer.group_send(self.group, message)
        except (*REDIS_UNAVAILABLE_ERRORS, ChannelFull) as error:
            logger.warning("a change of presence was not announced on this node: %s", error)
        finally:
            self._task = None


@register
class PresenceFeature(Feature):
    """The rooms that consumers of this node have joined."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._rooms: dict[str, _Room] = {}

    def join(self, name: str, member: str, layer: Any) -> _Room:
        """Add a socket of a member to a room."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(name, self.node, layer)
        room.sockets += 1
        self.node.presence.join(PresenceKey(room_topic(name), ROOM_PHASE, member))
        return room

    def leave(self, name: str, member: str) -> None:
        """Remove a socket of a member from a room."""
        room = self._rooms[name]
        room.sockets -= 1
        attempt(self.node.presence.leave, PresenceKey(room_topic(name), ROOM_PHASE, member))
        if not room.sockets:
            del self._rooms[name]
            attempt(room.end)


class _Joined:
    """The rooms of one socket, which it leaves once, however it ends."""

    def __init__(self, feature: PresenceFeature) -> None:
        self._feature = feature
        self.members: dict[str, str] = {}
        self.groups: dict[str, str] = {}

    def leave(self, name: str) -> None:
        member = self.members.pop(name, None)
        if member is not None:
            self._feature.leave(name, member)

    def leave_all(self) -> None:
        for name in list(self.members):
            attempt(self.leave, name)

    def ended(self, _task: object) -> None:
        self.leave_all()


class _Presence:
    """The asynchronous methods of both mixins."""

    scope: dict[str, Any]
    channel_layer: Any
    channel_name: str
    _joined: ClassVar[_Joined | None] = None

    async def _join(self, room: str, member: str | None) -> None:
        check_name(room_topic(room))
        joined = self._joined
        if joined is None:
            joined = _Joined(node().feature(PresenceFeature))
            self.__dict__["_joined"] = joined
            # tidewire's server calls it whatever happens to the application.
            asgi.on_end(self.scope, joined.leave_all)
        if room in joined.members:
            return
        joined.members[room] = name = member_name(self.scope) if member is None else member
        found = node().feature(PresenceFeature).join(room, name, self.channel_layer)
        if self.channel_layer is not None and hasattr(self, "presence_changed"):
            joined.groups[room] = found.group
            await self.channel_layer.group_add(found.group, self.channel_name)

    async def _leave(self, room: str) -> None:
        joined = self._joined
        if joined is None:
            return
        joined.leave(room)
        group = joined.groups.pop(room, None)
        if group is not None:
            with contextlib.suppress(*REDIS_UNAVAILABLE_ERRORS):
                await self.channel_layer.group_discard(group, self.channel_name)

    async def _leave_all(self) -> None:
        joined = self._joined
        if joined is None:
            return
        joined.leave_all()
        for room in list(joined.groups):
            await self._leave(room)

    async def _list(self, room: str, names: int) -> Members:
        [members] = await node().presence_store.members([(room_topic(room), ROOM_PHASE)], names=names)
        return members


class PresenceMixin(_Presence):
    """Presence for an asynchronous consumer of Channels. It must stand before the class of Channels.

    If the consumer has a handler `presence_changed`, it is called with an event of the channel layer when the members
    of a room change: `room`, `count` and the earliest `names`. A member is a user, however many sockets it has;
    anonymous visitors are members by their session, or by their address without one, under a name that shows neither.

    Raises:
        RedisUnavailable: Redis did not answer in time; of `presence_list`.
        ValueError: The name of a room has other characters than letters, digits, `-`, `_` and dots.

    Example:
        >>> from channels.generic.websocket import AsyncJsonWebsocketConsumer
        >>> class RoomConsumer(PresenceMixin, AsyncJsonWebsocketConsumer):
        ...     async def connect(self):
        ...         await self.accept()
        ...         await self.presence_join("lobby")
        ...         await self.send_json({"names": (await self.presence_list("lobby")).names})
        ...     async def presence_changed(self, event):
        ...         await self.send_json({"names": event["names"], "count": event["count"]})
        ...     async def receive_json(self, content):
        ...         await self.presence_leave("lobby")

    """

    async def presence_join(self, room: str, member: str | None = None) -> None:
        """Join a room until the socket ends.

        Args:
            room: Name of the room: letters, digits, `-`, `_`, and dots between them.
            member: Name of the member; None: the user's name, or that of an anonymous visitor.

        """
        first = self._joined is None
        await self._join(room, member)
        if first and self._joined is not None and (task := asyncio.current_task()) is not None:
            # Under other servers: an application that fails or is cancelled gets no `websocket.disconnect`.
            task.add_done_callback(self._joined.ended)

    async def presence_leave(self, room: str) -> None:
        """Leave a room before the socket ends.

        Args:
            room: Name of the room.

        """
        await self._leave(room)

    async def presence_list(self, room: str, *, names: int = 20) -> Members:
        """Return the members of a room, on all processes.

        Args:
            room: Name of the room.
            names: The most names; -1 for all.

        Returns:
            The number of members, and the earliest names.

        """
        return await self._list(room, names)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Leave all rooms, then call the consumer's own handlers.

        Args:
            message: The message of the server.

        """
        await self._leave_all()
        await super().websocket_disconnect(message)  # type: ignore[misc]  # of Channels' class behind this one


class SyncPresenceMixin(_Presence):
    """Presence for a synchronous consumer of Channels, with the methods of `PresenceMixin`.

    Under another server than tidewire's, an application that is cancelled does not leave its rooms.

    Raises:
        RedisUnavailable: Redis did not answer in time; of `presence_list`.
        ValueError: The name of a room is invalid.

    Example:
        >>> from channels.generic.websocket import WebsocketConsumer
        >>> class RoomConsumer(SyncPresenceMixin, WebsocketConsumer):
        ...     def connect(self):
        ...         self.accept()
        ...         self.presence_join("lobby")
        ...         self.send(", ".join(self.presence_list("lobby").names))
        ...     def presence_changed(self, event):
        ...         self.send(", ".join(event["names"]))
        ...     def receive(self, text_data=None, bytes_data=None):
        ...         self.presence_leave("lobby")

    """

    def presence_join(self, room: str, member: str | None = None) -> None:
        """Join a room until the socket ends.

        Args:
            room: Name of the room: letters, digits, `-`, `_`, and dots between them.
            member: Name of the member; None: the user's name, or that of an anonymous visitor.

        """
        async_to_sync(self._join)(room, member)

    def presence_leave(self, room: str) -> None:
        """Leave a room before the socket ends.

        Args:
            room: Name of the room.

        """
        async_to_sync(self._leave)(room)

    def presence_list(self, room: str, *, names: int = 20) -> Members:
        """Return the members of a room, on all processes.

        Args:
            room: Name of the room.
            names: The most names; -1 for all.

        Returns:
            The number of members, and the earliest names.

        """
        return async_to_sync(self._list)(room, names)

    def websocket_disconnect(self, message: dict[str, Any]) -> None:
        """Leave all rooms, then call the consumer's own handlers.

        Args:
            message: The message of the server.

        """
        async_to_sync(self._leave_all)()
        super().websocket_disconnect(message)  # type: ignore[misc]  # of Channels' class behind this one
