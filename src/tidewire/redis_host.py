"""Where Redis is: one address, or the primary that Sentinels name. Every connection is made from here.

A host is a dict as `channels_redis` takes it, so that the channel layer and the library reach the same Redis.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.connection import SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

# Longer than any script takes; a stopped Redis is noticed after this.
SOCKET_SECONDS = 2.0
# A Sentinel answers from memory. One that is gone costs each new connection so long, until another is asked first.
SENTINEL_SECONDS = 0.5
# A host that lost its power says nothing by itself: a quiet connection is tried after so long, and given up after that.
HEALTH_SECONDS = 15
DEAD_SECONDS = 15
# A pooled connection that Redis closed fails once; what fails twice is an outage, which callers know how to bear.
RETRIES = 1


def redis_host(
    url: str, *, sentinels: Sequence[str] = (), master: str = "mymaster", sentinel_password: str = ""
) -> dict[str, Any]:
    """What `CHANNEL_LAYERS` takes as a host, and `pool` too.

    With `sentinels` (`host:port` each) the URL's host is not used: they name the primary of `master`.
    Raises `ImproperlyConfigured` where a Sentinel's address is odd.
    """
    common = {
        "socket_connect_timeout": SOCKET_SECONDS,
        "health_check_interval": HEALTH_SECONDS,
        "retry": Retry(NoBackoff(), RETRIES, supported_errors=(RedisConnectionError,)),
    }
    if not url.startswith("unix:"):
        common["socket_keepalive_options"] = _keepalive()
    if not sentinels:
        return common | {"address": url}
    tls = {"ssl": True} if parse_url(url).get("connection_class") is SSLConnection else {}
    who = {name: value for name, value in parse_url(url).items() if name in ("username", "password", "db")}
    asking = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS, "retry": _once()}
    if sentinel_password:
        asking["password"] = sentinel_password
    return {
        **common,
        **who,
        "master_name": master,
        "sentinels": [_address(each) for each in sentinels],
        "sentinel_kwargs": asking | tls,
        **tls,
    }


def pool(host: Mapping[str, Any]) -> ConnectionPool:
    """Connections to a host, of which one too many waits for its turn rather than to fail."""
    options = dict(host)
    if "address" in options:
        return BlockingConnectionPool.from_url(options.pop("address"), **options)
    asked, asking = options.pop("sentinels"), options.pop("sentinel_kwargs")
    sentinels = Sentinel(asked, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]  # redis-py has no types here
    return _PrimaryPool(options.pop("master_name"), sentinels, **options)  # type: ignore[no-untyped-call]  # as above


class _PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to whatever is the primary as they are made."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def _once() -> Retry:
    # The next Sentinel is asked instead.
    return Retry(NoBackoff(), 0)


def _keepalive() -> dict[int, int]:
    # A subscription reads for ever, so only the kernel can tell that its other end is gone. Linux has all of these.
    wanted = {
        "TCP_KEEPIDLE": DEAD_SECONDS // 3,
        "TCP_KEEPINTVL": DEAD_SECONDS // 3,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": DEAD_SECONDS * 1000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _address(sentinel: str) -> tuple[str, int]:
    host, colon, port = sentinel.rpartition(":")
    if not (host and colon and port.isdecimal()):
        raise ImproperlyConfigured(f"TIDEWIRE: a Sentinel is named host:port, not {sentinel!r}")
    return host.strip("[]"), int(port)
