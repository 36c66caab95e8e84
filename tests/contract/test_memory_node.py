"""`MemoryNode` in the tests of a project, by `manage.py test`: no Redis answers, on SQLite and on PostgreSQL."""

import os
import subprocess
import sys

import pytest

from deploy.local.layout import LOOPBACK, ROOT
from tests.contract.runserver_project import FILES
from tests.postgres import Postgres, why_not

TIMEOUT_SECONDS = 120
# No event reaches a process in this project unless the stores are in memory.
NO_REDIS = f"redis://{LOOPBACK}:1/0"

SETTINGS = (
    FILES["site_settings.py"].replace('{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}', "THE_DATABASE")
    + f"""
INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
TIDEWIRE = {{"REDIS_URL": "{NO_REDIS}"}}
hosts = ["{NO_REDIS}"]
CHANNEL_LAYERS = {{"default": {{"BACKEND": "tidewire.layers.RedisChannelLayer", "CONFIG": {{"hosts": hosts}}}}}}
"""
)
ASGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.asgi import get_asgi_application
pages = get_asgi_application()
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from site_consumers import Chat
from site_news import NewsConsumer
routes = [path("ws/chat/", Chat.as_asgi()), path("ws/news/", NewsConsumer.as_asgi())]
application = ProtocolTypeRouter({"http": pages, "websocket": AuthMiddlewareStack(URLRouter(routes))})
"""
NEWS = """
from typing import Literal
from uuid import uuid4
from django.contrib.auth.models import User
from django.db import transaction
from tidewire.consumers import LiveConsumer
from tidewire.events import StreamEvent
from tidewire.publish import publish
from tidewire.topics import StreamTopic

class NewsPosted(StreamEvent):
    type: Literal["news.posted"] = "news.posted"
    topic: str = "news"
    title: str

class NewsConsumer(LiveConsumer):
    def topics(self):
        return (StreamTopic("news"),)

def post(title):
    with transaction.atomic():
        User.objects.create(username=title)
        publish("news", NewsPosted(id=uuid4(), title=title))
"""
TESTS = """
import asyncio
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import TestCase, TransactionTestCase
from site_news import post
from tidewire.testing import MemoryNode


class NewsTests:
    async def test_an_event_reaches_a_socket_that_a_session_authenticates(self):
        await self.async_client.aforce_login(await User.objects.acreate(username="ada"))
        async with MemoryNode() as node:
            socket = await node.connect("/ws/news/", client=self.async_client)
            stranger = await node.connect("/ws/news/")
            await stranger.expect_close(4500)
            await sync_to_async(post)("first")
            await socket.expect("news.posted", title="first")
            # Longer than a publisher's transaction may be idle.
            await asyncio.sleep(1.5)
            await sync_to_async(post)("second")
            event = await socket.expect("news.posted", title="second")
            self.assertEqual(event["sequence"], 2)
        self.assertEqual(await User.objects.acount(), 3)

    async def test_a_consumer_of_channels_needs_no_redis(self):
        async with MemoryNode() as node:
            await User.objects.acreate(username="ada")
            socket = await node.connect("/ws/chat/")
            await socket.send("hello")
            self.assertEqual(await socket.receive(), "hello")
            self.assertEqual(await User.objects.acount(), 1)


class InTestCase(NewsTests, TestCase):
    pass


class InTransactionTestCase(NewsTests, TransactionTestCase):
    pass
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request):
    if request.param == "sqlite":
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        return
    if why_not():
        pytest.skip(why_not())
    with Postgres() as server:
        options = {"NAME": "postgres", "USER": "tidewire", "HOST": LOOPBACK, "PORT": server.port}
        yield {"ENGINE": "django.db.backends.postgresql", **options}


def test_a_project_tests_its_topics_without_redis(tmp_path, database):
    files = {
        **FILES,
        "site_settings.py": SETTINGS.replace("THE_DATABASE", repr(database)),
        "site_asgi.py": ASGI,
        "site_news.py": NEWS,
        "tests.py": TESTS,
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    done = subprocess.run(
        [sys.executable, "manage.py", "test"],
        cwd=tmp_path,
        env=kept | {"PYTHONPATH": f"{ROOT}/src"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 4 tests" in done.stderr
