"""Connections to Redis: one client per event loop, with bounds that fit a server process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from weakref import WeakKeyDictionary, WeakSet

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tidewire import metrics
from tidewire.conf import settings
from tidewire.exceptions import NoRedis
from tidewire.redis_connection import leave
from tidewire.redis_host import SOCKET_SECONDS, pool, redis_host
from tidewire.versions import require_redis_server

# Enough for the hub, presence and a page's reads at once; whoever is one too many waits for its turn.
MAX_CONNECTIONS = 16

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, Redis]" = WeakKeyDictionary()
# Loops whose last call failed: the next that succeeds is a reconnect.
_away: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()


def client() -> Redis:
    """The client of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        given = settings()
        host = redis_host(
            given.REDIS_URL,
            sentinels=given.REDIS_SENTINELS,
            master=given.REDIS_MASTER,
            sentinel_password=given.REDIS_SENTINEL_PASSWORD,
        )
        bounds = {"max_connections": MAX_CONNECTIONS, "timeout": SOCKET_SECONDS, "socket_timeout": SOCKET_SECONDS}
        _clients[loop] = Redis.from_pool(pool(host | bounds | {"decode_responses": True}))
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client."""
    found = _clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose(close_connection_pool=False)
        await found.connection_pool.aclose()


async def require_version() -> None:
    """Raise `ImproperlyConfigured` if the Redis server is too old. One that is unavailable or does not say may serve.

    HELLO, because INFO is often forbidden to applications.
    """
    try:
        said = await client().execute_command("HELLO")  # type: ignore[no-untyped-call]  # redis-py has no types here
    except (TimeoutError, RedisError, OSError):
        return
    pairs = said if isinstance(said, dict) else dict(zip(said[::2], said[1::2], strict=True))
    if found := pairs.get("version"):
        require_redis_server(found)


@cache
def _source(name: str) -> str:
    lua = files("tidewire") / "lua"
    return (lua / "shared.lua").read_text() + (lua / f"{name}.lua").read_text()


def script(name: str) -> AsyncScript:
    """The Lua script `lua/<name>.lua` on the running loop's client."""
    redis = client()
    scripts: dict[str, AsyncScript] = redis.__dict__.setdefault("tidewire_scripts", {})
    if name not in scripts:
        scripts[name] = redis.register_script(_source(name))
    return scripts[name]


@asynccontextmanager
async def reached() -> AsyncIterator[Redis]:
    """The running loop's client, its errors as `NoRedis`."""
    loop = asyncio.get_running_loop()
    try:
        yield client()
    except (TimeoutError, RedisError, OSError) as error:
        _away.add(loop)
        if _may_be_gone(error):
            leave()
        metrics.REDIS_ERRORS.labels(_kind(error)).inc()
        raise NoRedis(f"{type(error).__name__}: {error}") from error
    if loop in _away:
        _away.discard(loop)
        metrics.REDIS_RECONNECTS.inc()


def _may_be_gone(error: Exception) -> bool:
    """Whether this is an error of a connection, so that the others may lead nowhere, too."""
    is_lost = isinstance(error, (TimeoutError, RedisTimeoutError, RedisConnectionError, OSError))
    # The pool's own error, whose connections are all in use.
    return is_lost and "No connection available" not in str(error)


def _kind(error: Exception) -> str:
    if isinstance(error, (TimeoutError, RedisTimeoutError)):
        return "timeout"
    return "connection" if isinstance(error, (RedisConnectionError, OSError)) else "other"
