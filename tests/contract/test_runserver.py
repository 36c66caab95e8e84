"""`manage.py runserver` of a Channels project: pages, sockets, static files, reload, and an orderly end."""

import asyncio
import re
import socket

import psutil
import pytest
from websockets.exceptions import InvalidStatus

from deploy.local.layout import LOOPBACK
from tests.contract.runserver_project import project
from tests.contract.test_any_project import LayerRedis
from tidewire.close_codes import CloseCode

WAIT_SECONDS = 30.0


@pytest.fixture
def site(tmp_path):
    with project(tmp_path) as made:
        yield made


async def end_of(client):
    """Return the close code."""
    await asyncio.wait_for(client.wait_closed(), WAIT_SECONDS)
    return client.close_code


async def test_a_change_of_the_code_closes_sockets_in_order_and_serves_the_new_code(site):
    """Under stock Daphne the sockets were cut with 1006, and no `disconnect` handler ran."""
    site.start()
    assert site.page("/").text == "first"
    assert site.page("/static/site.css").text == "body {}"
    async with site.socket("chat") as one, site.socket("sync") as two:
        for client in (one, two):
            await client.send("hello")
            assert await asyncio.wait_for(client.recv(), WAIT_SECONDS) == "hello"
        site.write("site_consumers.py", '"first"', '"second"')
        while one.close_code is None:
            site.touch("site_consumers.py")
            await asyncio.sleep(2)
        assert [await end_of(one), await end_of(two)] == [1012, 1012]
    await asyncio.to_thread(site.until, lambda: (page := site.page("/")) is not None and page.text == "second")
    assert site.record() == ["1012", "1012"]
    async with site.socket("chat") as again:
        await again.send("hello")
        assert await asyncio.wait_for(again.recv(), WAIT_SECONDS) == "hello"


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reload", "noreload"])
@pytest.mark.parametrize("how", ["interrupt", "terminate"])
async def test_the_end_of_the_command_closes_sockets_in_order(site, how, options):
    """Django's command kills its process after 0.25 s on Ctrl-C, and at once on SIGTERM."""
    site.start(*options)
    async with site.socket("chat") as one, site.socket("sync") as two:
        ended = asyncio.get_running_loop().run_in_executor(None, getattr(site, how))
        assert [await end_of(one), await end_of(two)] == [1012, 1012]
        assert await ended == 0, site.log.read_text()
    assert site.record() == ["1012", "1012"]
    assert site.refused()


async def test_frames_are_shown_on_demand_without_secrets(site):
    site.start("--debug-frames")
    async with site.socket("chat") as client:
        await client.send('{"topic": "news", "password": "hunter2", "text": "hi"}')
        await client.recv()
        await client.send("Authorization: Bearer s3cret-value")
        await client.recv()
        await client.send(b"\x00\x01")
    await asyncio.to_thread(site.until, lambda: any("<- /ws/chat/ control" in line for line in site.lines()))
    shown = "\n".join(site.lines())
    assert "hunter2" not in shown
    assert "s3cret-value" not in shown
    at = r"^\d\d:\d\d:\d\d\.\d{3}"
    for line in (
        rf'{at} <- news 54 B :\d+ {{"topic": "news", "password": "\*\*\*", "text": "hi"}}$',
        rf'{at} -> news 54 B :\d+ {{"topic": "news", "password": "\*\*\*", "text": "hi"}}$',
        rf"{at} <- /ws/chat/ 34 B :\d+ Authorization: \*\*\*",
        rf"{at} <- /ws/chat/ 2 B :\d+ \(binary\)$",
        rf"{at} <- /ws/chat/ control :\d+ close 1000$",
    ):
        assert re.search(line, shown, re.MULTILINE), (line, shown)


def test_frames_are_not_shown_without_the_option(site):
    site.start()

    async def talk():
        async with site.socket("chat") as client:
            await client.send("a word")
            await client.recv()

    asyncio.run(talk())
    assert "a word" not in site.log.read_text()


def test_a_broken_module_is_shown_and_served_once_it_is_mended(site):
    site.write("site_asgi.py", "import Chat, SyncChat", "import Chat, SyncChat, Missing")
    site.start(ready=False)
    site.until(lambda: "cannot import name 'Missing'" in site.log.read_text())
    site.write("site_asgi.py", ", Missing", "")

    def served():
        site.touch("site_asgi.py")
        return site.page("/")

    site.until(served)


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["reload", "noreload"])
def test_a_taken_port_ends_the_command(site, options):
    with socket.create_server((LOOPBACK, 0)) as taken:
        site.port = taken.getsockname()[1]
        process = site.start(*options, ready=False)
        assert process.wait(WAIT_SECONDS) == 1
    [line] = [line for line in site.lines() if "did not start" in line]
    assert str(site.port) in line
    assert "Traceback" not in site.log.read_text()


def test_a_project_without_an_asgi_application_is_told(site):
    site.write("site_settings.py", 'ASGI_APPLICATION = "site_asgi.application"', "")
    process = site.start(ready=False)
    assert process.wait(WAIT_SECONDS) == 1
    assert "ASGI_APPLICATION is missing" in site.log.read_text()


def test_the_wrong_order_of_applications_is_a_warning(site):
    """The command of `django.contrib.staticfiles` serves pages and no sockets."""
    site.write(
        "site_settings.py", '"tidewire", "django.contrib.staticfiles"', '"django.contrib.staticfiles", "tidewire"'
    )
    site.start()
    assert "tidewire.W016" in site.log.read_text()

    async def talk():
        async with site.socket("chat"):
            pass

    with pytest.raises(InvalidStatus):
        asyncio.run(talk())


NEWS = """
from django.contrib.auth.models import AnonymousUser
from tidewire.consumers import LiveConsumer
from tidewire.topics import StreamTopic

class NewsConsumer(LiveConsumer):
    async def authorize(self):
        return None
    def topics(self):
        return (StreamTopic("news"),)

class Anonymous:
    def __init__(self, application):
        self.application = application
    async def __call__(self, scope, receive, send):
        await self.application(scope | {"user": AnonymousUser()}, receive, send)
"""


async def test_a_live_consumer_s_socket_gets_the_reconnect_code(site, tmp_path):
    """The node of the process serves it, without a watchdog that would end the process at a breakpoint."""
    async with LayerRedis(tmp_path, "pubsub") as environment:
        (site.directory / "site_news.py").write_text(NEWS)
        options = {"BACKEND": "tidewire.layers.RedisChannelLayer", "CONFIG": {"hosts": [environment["CHAT_REDIS"]]}}
        with (site.directory / "site_settings.py").open("a") as settings:
            settings.write(f"TIDEWIRE = {{'REDIS_URL': {environment['CHAT_REDIS']!r}}}\n")
            settings.write(f"CHANNEL_LAYERS = {{'default': {options!r}}}\n")
            settings.write('INSTALLED_APPS += ["django.contrib.contenttypes", "django.contrib.auth"]\n')
        site.write("site_asgi.py", "routes = [", "routes = [path('ws/news/', Anonymous(NewsConsumer.as_asgi())), ")
        imports = "from site_news import Anonymous, NewsConsumer\nfrom site_consumers"
        site.write("site_asgi.py", "from site_consumers", imports)
        await asyncio.to_thread(site.start)
        async with site.socket("news") as client:
            assert "resumed" in await asyncio.wait_for(client.recv(), WAIT_SECONDS)
            # The command, and the process that serves; no watchdog.
            assert len(psutil.Process(site.process.pid).children(recursive=True)) == 1
            ended = asyncio.get_running_loop().run_in_executor(None, site.terminate)
            assert await end_of(client) == CloseCode.DRAINING
            assert await ended == 0
