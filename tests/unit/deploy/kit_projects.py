"""Projects for the tests of `tidewire init`, as small as they can be, and their commands."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.local.layout import ROOT

FILES = {
    "manage.py": 'import os\n\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "racing.settings")\n',
    "racing/__init__.py": "",
    "racing/settings.py": """\
SECRET_KEY = "only for the first day"
ASGI_APPLICATION = "racing.routing.application"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles", "chat"]
ROOT_URLCONF = "racing.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
STATIC_URL = "assets/"
""",
    "racing/routing.py": """\
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "racing.settings")
from chat.routing import websocket_urlpatterns
""",
    "racing/urls.py": "urlpatterns = []\n",
    "chat/__init__.py": "",
    "chat/routing.py": """\
from django.urls import path, re_path

from . import consumers

websocket_urlpatterns = [
    re_path(r"^ws/chat/(?P<room>\\w+)/$", consumers.Chat.as_asgi()),
    path("live/scores/", consumers.Scores.as_asgi()),
]
""",
    "requirements.txt": "Django\nchannels  # sockets\n",
}

# A package of the image that a machine for tests may lack.
DATABASE_URL = 'def parse(_url):\n    return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}\n'
# Asks the pages' application as Gunicorn does.
ASK = """\
import json, sys
from deploy.wsgi import application
from django.conf import settings

def ask(path):
    given = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "SERVER_NAME": "localhost", "SERVER_PORT": "80"}
    body = b"".join(application(environ | {"wsgi.input": sys.stdin.buffer}, lambda *start: given.append(start)))
    return given[0][0].split()[0], body.decode()

answers = {path: ask(path) for path in ("/healthz", "/readyz", "/nowhere", "/metrics")}
names = ("DEBUG", "SECRET_KEY", "STATIC_URL", "ALLOWED_HOSTS", "OWN")
print(json.dumps([answers, {name: getattr(settings, name) for name in names}]))
"""


def make(directory: Path, files: dict[str, str] | None = None) -> Path:
    """Write a project and commit it."""
    for name, text in (FILES if files is None else files).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(directory, "init", "--quiet")
    commit(directory)
    return directory


def commit(directory: Path) -> None:
    git(directory, "add", "--all")
    git(directory, "-c", "user.name=Owner", "-c", "user.email=owner@localhost", "commit", "--quiet", "-m", "a change")


def git(directory: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def init(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tidewire init` as a user without a terminal."""
    command = [sys.executable, "-m", "tidewire", "init", *arguments, str(directory)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, stdin=subprocess.DEVNULL, cwd=directory
    )
