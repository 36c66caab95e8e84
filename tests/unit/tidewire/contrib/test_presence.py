"""The mixins for presence: consumers of Channels in rooms, with changes, departures and anonymous visitors."""

import json

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import TestCase
from django.urls import path

from tidewire.auth.visitors import identity, member_name
from tidewire.contrib.presence import PresenceFeature, PresenceMixin, SyncPresenceMixin
from tidewire.testing import MemoryNode

GONE_SECONDS = 10


class RoomConsumer(PresenceMixin, AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.presence_join(self.scope["url_route"]["kwargs"]["room"])

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "fail":
            raise ZeroDivisionError
        if text_data == "leave":
            await self.presence_leave("lobby")
        members = await self.presence_list("lobby")
        await self.send(json.dumps({"type": "list", "names": members.names}))

    async def presence_changed(self, event):
        await self.send(json.dumps({**event, "type": "changed"}))


class SyncRoomConsumer(SyncPresenceMixin, WebsocketConsumer):
    def connect(self):
        self.accept()
        self.presence_join("lobby")

    def receive(self, text_data=None, bytes_data=None):
        members = self.presence_list("lobby")
        self.send(json.dumps({"type": "list", "names": members.names}))

    def presence_changed(self, event):
        self.send(json.dumps({**event, "type": "changed"}))


class QuietConsumer(PresenceMixin, AsyncWebsocketConsumer):
    """Joins, and has no handler for changes."""

    async def connect(self):
        await self.accept()
        await self.presence_join("lobby", "robot")


application = AuthMiddlewareStack(
    URLRouter(
        [
            path("rooms/<room>/", RoomConsumer.as_asgi()),
            path("sync/", SyncRoomConsumer.as_asgi()),
            path("quiet/", QuietConsumer.as_asgi()),
        ]
    )
)


class PresenceTests(TestCase):
    async def client_of(self, name):
        client = self.async_client_class()
        await client.aforce_login(await User.objects.acreate(username=name))
        return client

    async def test_members_come_and_go_with_their_sockets(self):
        ada, bob = await self.client_of("ada"), await self.client_of("bob")
        async with MemoryNode(application) as node:
            one = await node.connect("/rooms/lobby/", client=ada)
            await one.expect("changed", room="lobby", count=1, names=["ada"])
            two = await node.connect("/sync/", client=bob)
            for socket in (one, two):
                await socket.expect("changed", names=["ada", "bob"])
                await socket.send("list")
                await socket.expect("list", names=["ada", "bob"])
            # A second tab is no second member, and another room is another list.
            tab = await node.connect("/sync/", client=bob)
            elsewhere = await node.connect("/rooms/elsewhere/", client=bob)
            await elsewhere.expect("changed", room="elsewhere", names=["bob"])
            await tab.close()
            await node.move(GONE_SECONDS)
            await one.expect_nothing("changed")
            await two.close()
            await node.move(GONE_SECONDS)
            await one.expect("changed", count=1, names=["ada"])
            await one.send("leave")
            await node.move(GONE_SECONDS)
            await one.expect_nothing("changed")
            await one.send("list")
            await one.expect("list", names=[])

    async def test_a_consumer_that_fails_leaves(self):
        async with MemoryNode(application) as node:
            stays = await node.connect("/sync/", client=await self.client_of("ada"))
            fails = await node.connect("/rooms/lobby/", client=await self.client_of("bob"))
            await stays.expect("changed", names=["ada", "bob"])
            await fails.send("fail")
            with self.assertRaises(ZeroDivisionError):
                await fails.expect("list")
            await node.move(GONE_SECONDS)
            await stays.expect("changed", names=["ada"])

    async def test_a_room_without_sockets_costs_nothing(self):
        async with MemoryNode(application) as node:
            socket = await node.connect("/quiet/")
            feature = node.node.feature(PresenceFeature)
            assert list(feature._rooms) == ["lobby"]
            await socket.close()
            assert not feature._rooms
            followed = [each.topic for topics in node.node.hub._subscriptions.values() for each in topics]
            assert "presence.lobby" not in followed

    async def test_the_name_of_a_room_is_checked(self):
        async with MemoryNode(application) as node:
            socket = await node.connect("/rooms/a b/")
            with self.assertRaisesRegex(ValueError, "only letters"):
                await socket.expect("changed")

    async def test_anonymous_visitors_count_by_their_session_or_their_address(self):
        clients = [self.async_client_class() for _ in range(2)]
        for client in clients:
            session = SessionStore()
            await session.asave()
            client.cookies["sessionid"] = session.session_key
        async with MemoryNode(application) as node:
            one = await node.connect("/rooms/lobby/", client=clients[0])
            await node.connect("/rooms/lobby/", client=clients[0])
            await node.connect("/rooms/lobby/", client=clients[1])
            await node.connect("/rooms/lobby/", headers={"X-Real-IP": "192.0.2.1"})
            await node.connect("/rooms/lobby/", headers={"X-Real-IP": "192.0.2.1"})
            await node.connect("/rooms/lobby/", headers={"X-Real-IP": "192.0.2.2"})
            event = await one.expect("changed", count=4)
            assert all(name.startswith("visitor-") for name in event["names"])
            assert "192.0.2" not in str(event)


def test_a_visitor_s_name_shows_neither_session_nor_address():
    scope = {"headers": [], "client": ["192.0.2.7", 5], "user": None}
    assert identity(scope) == "anonymous 192.0.2.7"
    assert member_name(scope).startswith("visitor-")
    assert member_name(scope) == member_name(dict(scope))
    assert member_name(scope) != member_name(scope | {"client": ["192.0.2.8", 5]})
