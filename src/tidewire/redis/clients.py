"""Connections to Redis: one client per event loop, with limits for a server process."""

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
from tidewire.exceptions import RedisUnavailable
from tidewire.redis.connections import disconnect_all
from tidewire.redis.hosts import SOCKET_SECONDS, pool, redis_host
from tidewire.versions import require_redis_server

# Enough for the hub, presence and a page's reads at once; a further caller waits for a free connection.
MAX_CONNECTIONS = 16

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, Redis]" = WeakKeyDictionary()
# Loops with a failed last call: the next successful call counts as a reconnect.
_failed_loops: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()


def client() -> Redis:
    """Return the client of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        options = settings()
        host = redis_host(
            options.REDIS_URL,
            sentinels=options.REDIS_SENTINELS,
            master=options.REDIS_MASTER,
            sentinel_password=options.REDIS_SENTINEL_PASSWORD,
        )
        limits = {"max_connections": MAX_CONNECTIONS, "timeout": SOCKET_SECONDS, "socket_timeout": SOCKET_SECONDS}
        _clients[loop] = Redis.from_pool(pool(host | limits | {"decode_responses": True}))
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client."""
    closed_client = _clients.pop(asyncio.get_running_loop(), None)
    if closed_client is not None:
        await closed_client.aclose(close_connection_pool=False)
        await closed_client.connection_pool.aclose()


async def require_version() -> None:
    """Raise `ImproperlyConfigured` if the Redis server is too old; an unavailable one may be used later.

    A server that does not report its version may be used as well. The version is read with HELLO, because INFO is often
    forbidden to applications.
    """
    try:
        reply = await client().execute_command("HELLO")  # type: ignore[no-untyped-call]  # redis-py has no types here
    except (TimeoutError, RedisError, OSError):
        return
    pairs = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
    if version := pairs.get("version"):
        require_redis_server(version)


@cache
def _source(name: str) -> str:
    lua = files("tidewire.redis") / "lua"
    return (lua / "shared.lua").read_text() + (lua / f"{name}.lua").read_text()


def script(name: str) -> AsyncScript:
    """Return the Lua script `lua/<name>.lua` on the running loop's client."""
    redis = client()
    scripts: dict[str, AsyncScript] = redis.__dict__.setdefault("tidewire_scripts", {})
    if name not in scripts:
        scripts[name] = redis.register_script(_source(name))
    return scripts[name]


@asynccontextmanager
async def redis_client() -> AsyncIterator[Redis]:
    """Yield the running loop's client; its errors are raised as `RedisUnavailable`."""
    loop = asyncio.get_running_loop()
    try:
        yield client()
    except (TimeoutError, RedisError, OSError) as error:
        _failed_loops.add(loop)
        if _is_of_connection(error):
            disconnect_all()
        metrics.REDIS_ERRORS.labels(_kind(error)).inc()
        raise RedisUnavailable(f"{type(error).__name__}: {error}") from error
    if loop in _failed_loops:
        _failed_loops.discard(loop)
        metrics.REDIS_RECONNECTS.inc()


def _is_of_connection(error: Exception) -> bool:
    """Return whether the error is one of a connection, so that the other connections may be lost as well."""
    is_lost = isinstance(error, (TimeoutError, RedisTimeoutError, RedisConnectionError, OSError))
    # The pool's own error, raised if all of its connections are in use.
    return is_lost and "No connection available" not in str(error)


def _kind(error: Exception) -> str:
    if isinstance(error, (TimeoutError, RedisTimeoutError)):
        return "timeout"
    return "connection" if isinstance(error, (RedisConnectionError, OSError)) else "other"
