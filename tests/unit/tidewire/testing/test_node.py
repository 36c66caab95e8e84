"""`MemoryNode`: sockets, topics and presence in a test, without Redis and without a wait that never ends."""

import asyncio
import json
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import channel_layers, get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from django.urls import path

from tests.contract.chat.consumers import ChatConsumer, SyncChatConsumer
from tests.unit.tidewire.fakes import Hall, Said
from tidewire.auth.origin import OriginCheck
from tidewire.auth.sockets import TicketAuth
from tidewire.close_codes import CloseCode
from tidewire.conf import settings
from tidewire.consumers import LiveConsumer
from tidewire.exceptions import NotInTransaction
from tidewire.presence import PresenceKey
from tidewire.publish import publish
from tidewire.substitutes import substitute
from tidewire.testing import MemoryNode
from tidewire.topics import StreamTopic

HALL = Hall("hall")


class TalkConsumer(LiveConsumer):
    """Needs no login."""

    async def authorize(self):
        return None

    def topics(self):
        return (StreamTopic("talk"),)


class MembersConsumer(LiveConsumer):
    """A hall, with its members."""

    def topics(self):
        return (HALL,)

    def presence(self):
        return (PresenceKey("hall", "in", self.scope["user"].get_username()),)


class FaultyConsumer(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)
        if text_data == "fail":
            raise ZeroDivisionError


class RefusingConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        await self.close()


@dataclass
class Guest:
    is_authenticated = False
    pk = None


application = OriginCheck(
    TicketAuth(
        URLRouter(
            [
                path("talk/", TalkConsumer.as_asgi()),
                path("hall/", MembersConsumer.as_asgi()),
                path("chat/<room_name>/", ChatConsumer.as_asgi()),
                path("sync/<room_name>/", SyncChatConsumer.as_asgi()),
            ]
        )
    )
)


def said_event(number):
    return Said(id=UUID(int=number), text="hello")


def say(number, *, rolled_back=False):
    with transaction.atomic():
        publish("talk", said_event(number))
        if rolled_back:
            transaction.set_rollback(True)


class PublishingTests:
    """The same in a test that never commits its transaction, and in one with real commits."""

    async def test_a_committed_event_reaches_the_socket(self):
        async with MemoryNode(application) as node:
            socket = await node.connect("/talk/")
            await sync_to_async(say)(1)
            await sync_to_async(say)(2, rolled_back=True)
            await sync_to_async(say)(3)
            first = await socket.expect("test.said")
            second = await socket.expect("test.said")
            self.assertEqual([first["sequence"], second["sequence"]], [1, 2])
            self.assertEqual([first["id"][-1], second["id"][-1]], ["1", "3"])
            await socket.expect_nothing("test.said")

    def test_an_event_outside_of_a_transaction_fails_as_in_production(self):
        with self.assertRaises(NotInTransaction):
            publish("talk", said_event(1))


class InTestCase(PublishingTests, TestCase):
    pass


class InTransactionTestCase(PublishingTests, TransactionTestCase):
    pass


class SocketTests(TestCase):
    async def test_consumers_of_channels_talk_to_each_other(self):
        async with MemoryNode(application) as node:
            one, two = await node.connect("/chat/lobby/"), await node.connect("/sync/lobby/")
            other = await node.connect("/chat/elsewhere/")
            await one.send({"message": "hi"})
            for socket in (one, two):
                self.assertEqual(json.loads(await socket.receive()), {"message": "hi"})
            await other.expect_nothing()

    async def test_a_message_of_another_thread_wakes_the_consumer(self):
        """Channels' layer in memory puts it into the queue, and the consumer's loop sleeps on."""

        def send():
            async_to_sync(get_channel_layer().group_send)("chat_lobby", {"type": "chat.message", "message": "hi"})

        async with MemoryNode(application) as node:
            socket = await node.connect("/chat/lobby/")
            await asyncio.get_running_loop().run_in_executor(None, send)
            self.assertEqual(json.loads(await socket.receive()), {"message": "hi"})

    async def test_a_client_of_django_s_tests_is_logged_in(self):
        user = await User.objects.acreate(username="ada")
        async with MemoryNode(application) as node:
            stranger = await node.connect("/hall/")
            await stranger.expect_close(CloseCode.UNAUTHENTICATED)
            await self.async_client.aforce_login(user)
            socket = await node.connect("/hall/", client=self.async_client)
            await socket.expect("test.here", names=["ada"])

    async def test_a_page_of_another_site_is_refused(self):
        async with MemoryNode(application) as node:
            with self.assertRaisesRegex(AssertionError, "/talk/ refused the socket: close"):
                await node.connect("/talk/", headers={"Origin": "https://evil.example"})

    async def test_a_clock_moves_through_the_grace_of_a_departure(self):
        ada, bob = await User.objects.acreate(username="ada"), await User.objects.acreate(username="bob")
        async with MemoryNode(application) as node:
            await self.async_client.aforce_login(ada)
            here = await node.connect("/hall/", client=self.async_client)
            await self.async_client.aforce_login(bob)
            leaving = await node.connect("/hall/", client=self.async_client)
            await here.expect("test.here", names=["ada", "bob"])
            await leaving.close()
            await node.move(settings().GRACE_SECONDS / 2)
            await here.expect_nothing("test.here", seconds=0.01)
            # Longer than a lease, which the node renews meanwhile.
            await node.move(settings().LEASE_SECONDS * 3)
            await here.expect("test.here", names=["ada"])
            await here.send({"type": "ping"})
            await here.expect("pong")


class WaitTests(TestCase):
    async def test_an_event_that_does_not_arrive_is_an_error_with_those_that_did(self):
        async with MemoryNode(FaultyConsumer.as_asgi()) as node:
            socket = await node.connect("/")
            for kind in ("one", "two"):
                await socket.send({"type": kind})
            with self.assertRaisesRegex(AssertionError, r'three with {"a": 1} did not .* .*one.*two'):
                await socket.expect("three", a=1, seconds=0.2)
            # The wait has not ended the application.
            await socket.send({"type": "three", "a": 1})
            await socket.expect("three", a=1)
            with self.assertRaisesRegex(AssertionError, "nothing had arrived"):
                await socket.receive(seconds=0.01)

    async def test_a_message_that_must_not_arrive_is_an_error(self):
        async with MemoryNode(FaultyConsumer.as_asgi()) as node:
            socket = await node.connect("/")
            await socket.send({"type": "one"})
            await socket.expect_nothing("two", seconds=0.01)
            with self.assertRaisesRegex(AssertionError, "one arrived"):
                await socket.expect_nothing("one", seconds=0.01)

    async def test_an_exception_of_the_application_is_raised_where_the_test_waits(self):
        async with MemoryNode(FaultyConsumer.as_asgi()) as node:
            socket = await node.connect("/")
            await socket.send("fail")
            with self.assertRaises(ZeroDivisionError) as caught:
                await socket.expect("an answer")
            self.assertIn("'fail'", caught.exception.__notes__[0])

    async def test_a_refused_socket_is_an_error(self):
        async with MemoryNode(RefusingConsumer.as_asgi()) as node:
            with self.assertRaisesRegex(AssertionError, "/a/ refused the socket: close"):
                await node.connect("/a/")

    async def test_a_closed_socket_is_an_error_at_once(self):
        async with MemoryNode(TalkConsumer.as_asgi()) as node:
            socket = await node.connect("/", scope={"user": Guest()})
            for connection in list(node.node.connections):
                connection.close(CloseCode.DRAINING)
            with self.assertRaisesRegex(AssertionError, f"closed before news; .*{int(CloseCode.DRAINING)}"):
                await socket.expect("news")

    async def test_everything_is_put_back(self):
        loop = asyncio.get_running_loop()
        before = channel_layers.backends.get("default")
        async with MemoryNode(FaultyConsumer.as_asgi()):
            self.assertIsNotNone(substitute("streams"))
        self.assertIsNone(substitute("streams"))
        self.assertIs(channel_layers.backends.get("default"), before)
        self.assertLess(abs(loop.time() - asyncio.BaseEventLoop.time(loop)), 1.0)
