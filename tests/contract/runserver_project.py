"""A project in a directory of its own, under `manage.py runserver`: its code can change while it runs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from deploy.local.layout import LOOPBACK, ROOT, free_port
from tests.http_client import fetch

READY_SECONDS = 60.0
EXIT_SECONDS = 30.0

FILES = {
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "site_settings.py": """
from pathlib import Path
SECRET_KEY = "of a test"
DEBUG = True
INSTALLED_APPS = ["tidewire", "django.contrib.staticfiles"]
ASGI_APPLICATION = "site_asgi.application"
ROOT_URLCONF = "site_urls"
STATIC_URL = "/static/"
STATICFILES_DIRS = [Path(__file__).parent / "assets"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "site_urls.py": """
from django.http import HttpResponse
from django.urls import path
from site_consumers import VERSION
urlpatterns = [path("", lambda request: HttpResponse(VERSION))]
""",
    "site_asgi.py": """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
from django.core.asgi import get_asgi_application
pages = get_asgi_application()
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from site_consumers import Chat, SyncChat
routes = [path("ws/chat/", Chat.as_asgi()), path("ws/sync/", SyncChat.as_asgi())]
application = ProtocolTypeRouter({"http": pages, "websocket": URLRouter(routes)})
""",
    "site_consumers.py": """
from pathlib import Path
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
VERSION = "first"
def record(code):
    with (Path(__file__).parent / "record").open("a") as file:
        file.write(f"{code}\\n")
class Chat(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)
    async def disconnect(self, code):
        record(code)
class SyncChat(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        self.send(text_data=text_data)
    def disconnect(self, code):
        record(code)
""",
    "assets/site.css": "body {}",
}


class Project:
    """The running command. `log` has what it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "log"
        self.process: subprocess.Popen[bytes] | None = None
        for name, content in FILES.items():
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)

    def start(self, *options: str, ready: bool = True) -> "subprocess.Popen[bytes]":
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runserver", f"{LOOPBACK}:{self.port}", *options],
                cwd=self.directory,
                env=kept | {"PYTHONPATH": f"{ROOT}/src", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A process group of its own, as a terminal gives it, so that Ctrl-C reaches all of it.
                start_new_session=True,
            )
        if ready:
            self.until(lambda: self.page("/") is not None)
        return self.process

    def until(self, matches: Callable[[], Any], seconds: float = READY_SECONDS) -> Any:
        """Wait until `matches()` is true, and return it."""
        end = time.monotonic() + seconds
        while not (found := matches()):
            assert time.monotonic() < end, self.log.read_text()
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        return found

    def page(self, path: str) -> Any:
        """Return a page; None while nothing listens."""
        try:
            return fetch(f"http://{LOOPBACK}:{self.port}{path}")
        except OSError:
            return None

    def write(self, name: str, old: str, new: str) -> None:
        """Change a file of the project."""
        path = self.directory / name
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))

    def touch(self, name: str) -> None:
        """Give a file another time of change: the reloader does not see one before it first looks at the files."""
        path = self.directory / name
        later = path.stat().st_mtime + 2
        os.utime(path, (later, later))

    def socket(self, path: str) -> connect:
        return connect(f"ws://{LOOPBACK}:{self.port}/ws/{path}/", proxy=None)

    def record(self) -> list[str]:
        """Return the close codes that `disconnect` handlers got."""
        path = self.directory / "record"
        return path.read_text().split() if path.exists() else []

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def interrupt(self) -> int:
        """Press Ctrl-C, and return the exit status."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(EXIT_SECONDS)

    def terminate(self) -> int:
        """Send SIGTERM to the command alone, as a supervisor does, and return the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(EXIT_SECONDS)

    def refused(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((LOOPBACK, self.port)) != 0


@contextlib.contextmanager
def project(directory: Path) -> Iterator[Project]:
    """Make the project, and end its command after the block."""
    made = Project(directory)
    try:
        yield made
    finally:
        if made.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(made.process.pid, signal.SIGKILL)
            made.process.wait()
