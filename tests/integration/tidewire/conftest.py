"""A Redis for these tests, and the library with settings for it."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as sync_redis
from django.core.management import call_command
from django.db import connections
from redis.asyncio import Redis

import tidewire.redis.clients
from dashboard.settings import SQLITE
from deploy.local import programs
from deploy.local.layout import free_port
from tests.integration.tidewire.outbox_processes import Processes, delete_rows
from tidewire import conf
from tidewire.presence.redis import RedisPresence
from tidewire.publishing import background, publisher

START_SECONDS = 20.0


class RedisServer:
    """A redis-server process without persistence, which a test may stop, pause and flush."""

    def __init__(self, program: str = "redis-server") -> None:
        self.program = program
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = sync_redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=5)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [self.program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.client.ping()
            except sync_redis.RedisError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.01)
            else:
                return

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend the process, like a paused container."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


# Tests of the commands that the library uses, which run on Valkey too. The other modules are about outages.
ON_VALKEY_TOO = {"test_edit_lease", "test_layers", "test_presence", "test_reports", "test_streams", "test_versions"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_server" in metafunc.fixturenames:
        programs_by_name = {"redis": shutil.which("redis-server")}
        if Path(metafunc.module.__file__).stem in ON_VALKEY_TOO:
            programs_by_name["valkey"] = (programs.REDIS.of_the_wheel() or (None, None))[1]
        metafunc.parametrize("_server", programs_by_name.values(), ids=programs_by_name, indirect=True, scope="session")


@pytest.fixture(scope="session")
def _server(request) -> Iterator[RedisServer]:
    # Modules of other directories that import this fixture run only on Redis.
    program = getattr(request, "param", shutil.which("redis-server"))
    if program is None:
        pytest.skip("this machine has no such server")
    server = RedisServer(program)
    server.start()
    yield server
    server.client.close()
    server.stop()


@pytest.fixture
def redis_server(_server, settings) -> Iterator[RedisServer]:
    """The running server without data, and the library's settings for it."""
    if _server.process is None:
        _server.start()
    _server.client.flushall()
    settings.TIDEWIRE = settings.TIDEWIRE | {"REDIS_URL": _server.url}
    hosts = [{"address": _server.url, "max_connections": 100, "socket_timeout": None}]
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": hosts}}
    }
    conf.settings.cache_clear()
    yield _server
    conf.settings.cache_clear()


@pytest.fixture
async def redis(redis_server):
    """The library's client for the event loop of this test."""
    yield tidewire.redis.clients.client()
    await tidewire.redis.clients.close()


@pytest.fixture
def background_loop(redis_server, monkeypatch):
    """The event loop of synchronous code, with its own connections to this server."""
    loop = background.Background()
    monkeypatch.setattr(publisher, "background", lambda: loop)
    yield loop
    loop.run(_close_all(), seconds=5)


async def _close_all() -> None:
    from channels.layers import get_channel_layer  # noqa: PLC0415

    layer = get_channel_layer()
    await layer.flush()
    await tidewire.redis.clients.close()


async def pass_time(client, presence: RedisPresence, seconds: float) -> None:
    """Simulate the passing of time: move all deadlines of presence nearer by this number of seconds."""
    for key in (presence._keys.nodes, presence._keys.deadlines, presence._keys.audits):
        for name, at_ms in await client.zrange(key, 0, -1, withscores=True):
            await client.zadd(key, {name: at_ms - seconds * 1000}, xx=True)


async def dump(client) -> dict[str, bytes]:
    """Return all keys of Redis, for a later `restore`: like a snapshot on disk."""
    raw = client.connection_pool.connection_kwargs | {"decode_responses": False}
    async with Redis(host=raw["host"], port=raw["port"]) as copying:
        return {key.decode(): await copying.dump(key) for key in await copying.keys("*")}


async def restore(client, dumped: dict[str, bytes]) -> None:
    """Replace all keys of Redis by those of a `dump`, at once, because a node may write at any moment."""
    async with client.pipeline(transaction=True) as together:
        together.flushall()
        for key, value in dumped.items():
            together.restore(key, 0, value)
        await together.execute()


@pytest.fixture(params=["sqlite", "postgresql"])
def processes(request, tmp_path, monkeypatch, django_db_blocker, background_loop) -> Iterator[Processes]:
    """Processes that save to a database of each kind."""
    if request.param == "sqlite":
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": SQLITE}
    else:
        database = request.getfixturevalue("postgres")
    monkeypatch.setitem(connections.databases, "default", connections.databases["default"] | database)
    two_processes = Processes(background_loop)
    monkeypatch.setattr(publisher, "wake", two_processes.wake)
    with django_db_blocker.unblock():
        two_processes.one(lambda: call_command("migrate", verbosity=0))
        two_processes.one(delete_rows)
        yield two_processes
        two_processes.close()
