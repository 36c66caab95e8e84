"""Connections to Redis: one client per event loop, with bounds that fit a server process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tidewire.conf import settings
from tidewire.exceptions import NoRedis

# Enough for the hub, presence and a page's reads at once; whoever is one too many waits for its turn.
MAX_CONNECTIONS = 16
# Longer than any script takes; a stopped Redis is noticed after this.
SOCKET_SECONDS = 2.0
# A pooled connection that Redis closed fails once; what fails twice is an outage, which callers know how to bear.
RETRIES = 1

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, Redis]" = WeakKeyDictionary()


def client() -> Redis:
    """The client of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        pool = BlockingConnectionPool.from_url(
            settings().REDIS_URL,
            decode_responses=True,
            max_connections=MAX_CONNECTIONS,
            timeout=SOCKET_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            health_check_interval=15,
            retry=Retry(NoBackoff(), RETRIES, supported_errors=(RedisConnectionError,)),
        )
        _clients[loop] = Redis.from_pool(pool)
    return _clients[loop]


async def close() -> None:
    """Close the running loop's client."""
    found = _clients.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.aclose()


@cache
def _source(name: str) -> str:
    return (files("tidewire") / "lua" / f"{name}.lua").read_text()


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
    try:
        yield client()
    except (TimeoutError, RedisError, OSError) as error:
        raise NoRedis(f"{type(error).__name__}: {error}") from error
