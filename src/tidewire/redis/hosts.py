"""The address of Redis: one host, or the primary that Sentinels name. All connections are configured here.

A host is a dict as used by `channels_redis`, so that the channel layer and the library connect to the same Redis.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from tidewire.addresses import host_port
from tidewire.redis.connections import (
    SentinelConnection,
    SentinelTLSConnection,
    TCPConnection,
    TLSConnection,
    UnixConnection,
)

# Longer than any script takes; a Redis that hangs is detected after this.
SOCKET_SECONDS = 2.0
# A Sentinel answers from memory. An unavailable one delays each new connection by this, until another is tried first.
SENTINEL_SECONDS = 0.5
# A host without power sends nothing. An idle connection is checked after this, and closed after the same time again.
HEALTH_SECONDS = 15
DEAD_SECONDS = 15
# A pooled connection that Redis has closed fails once. A second failure is an outage, which callers can handle.
RETRIES = 1

_CONNECTION_CLASSES = {
    Connection: TCPConnection,
    SSLConnection: TLSConnection,
    UnixDomainSocketConnection: UnixConnection,
}


def redis_host(
    url: str, *, sentinels: Sequence[str] = (), master: str = "mymaster", sentinel_password: str = ""
) -> dict[str, Any]:
    """Return a host for `CHANNEL_LAYERS` and for `pool`.

    With `sentinels` (`host:port` each) the URL's host is not used: they name the primary of `master`. Raises
    `ImproperlyConfigured` if a Sentinel's address is invalid.
    """
    options = dict(parse_url(url))
    common = _common_options(options)
    kind: Any = options.get("connection_class", Connection)
    if not sentinels:
        return common | options | {"connection_class": _CONNECTION_CLASSES[kind]}
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if kind is SSLConnection:
        tls["ssl"] = True
    credentials = {name: value for name, value in options.items() if name in ("username", "password", "db")}
    sentinel_options = {
        "socket_timeout": SENTINEL_SECONDS,
        "socket_connect_timeout": SENTINEL_SECONDS,
        "retry": _no_retry(),
    }
    if sentinel_password:
        sentinel_options["password"] = sentinel_password
    return {
        **common,
        **credentials,
        "master_name": master,
        "sentinels": [_address(each) for each in sentinels],
        "sentinel_kwargs": sentinel_options | tls,
        "connection_class": SentinelTLSConnection if kind is SSLConnection else SentinelConnection,
        **tls,
    }


def layer_host(host: Any) -> dict[str, Any]:
    """Return a host as used by `pool` for any form that the hosts of `channels_redis` have.

    Args:
        host: A URL, a pair of host and port, or a dict: with an `address` (a URL), with `sentinels` and `master_name`,
            or with redis-py's options of a connection.

    Raises:
        ImproperlyConfigured: The host has none of these forms. The message contains no password.

    """
    if isinstance(host, (list, tuple)) and len(host) == 2:
        host = {"host": host[0], "port": host[1]}
    elif isinstance(host, str):
        host = {"address": host}
    if not isinstance(host, Mapping):
        raise ImproperlyConfigured(
            f"a host of Redis is a URL, a pair (host, port) or a dict, not a {type(host).__name__}"
        )
    options = dict(host)
    if address := options.pop("address", None):
        try:
            options = dict(parse_url(address)) | options
        except ValueError as error:
            raise ImproperlyConfigured(f"the address of a host of Redis cannot be read: {error}") from None
    if "sentinels" in options:
        if "master_name" not in options:
            raise ImproperlyConfigured("a host of Redis with sentinels needs their master_name")
        options["sentinel_kwargs"] = {"socket_timeout": SENTINEL_SECONDS} | (options.get("sentinel_kwargs") or {})
        options.setdefault("connection_class", SentinelTLSConnection if options.get("ssl") else SentinelConnection)
    else:
        kind: Any = options.get("connection_class", Connection)
        options["connection_class"] = _CONNECTION_CLASSES.get(kind, kind)
    return _common_options(options) | options


def _common_options(options: Mapping[str, Any]) -> dict[str, Any]:
    common = {
        "socket_connect_timeout": SOCKET_SECONDS,
        "health_check_interval": HEALTH_SECONDS,
        "retry": Retry(NoBackoff(), RETRIES, supported_errors=(RedisConnectionError,)),
        # redis-py 5 retries only after the exceptions in this list as well.
        "retry_on_error": [RedisConnectionError],
    }
    if "path" not in options:
        common["socket_keepalive_options"] = _keepalive()
    return common


def pool(host: Mapping[str, Any]) -> ConnectionPool:
    """Return a pool of connections to a host, in which a caller waits if all connections are in use."""
    options = dict(host)
    if "sentinels" not in options:
        return BlockingConnectionPool(**options)
    addresses, sentinel_options = options.pop("sentinels"), options.pop("sentinel_kwargs")
    sentinels = Sentinel(addresses, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]  # redis-py has no types here
    return _PrimaryPool(options.pop("master_name"), sentinels, **options)  # type: ignore[no-untyped-call]  # as above


class _PrimaryPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the server that is the primary at the time of connecting."""

    async def aclose(self) -> None:
        await super().aclose()
        # Sentinel has no `aclose` before redis-py 7.
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _no_retry() -> Retry:
    # The next Sentinel is tried instead.
    return Retry(NoBackoff(), 0)


def _keepalive() -> dict[int, int]:
    # A subscription reads without a timeout, so only the kernel can detect that the other end is gone. Linux has all of
    # these options.
    wanted = {
        "TCP_KEEPIDLE": DEAD_SECONDS // 3,
        "TCP_KEEPINTVL": DEAD_SECONDS // 3,
        "TCP_KEEPCNT": 2,
        "TCP_USER_TIMEOUT": DEAD_SECONDS * 1000,
    }
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


def _address(sentinel: str) -> tuple[str, int]:
    try:
        return host_port(sentinel)
    except ValueError as error:
        raise ImproperlyConfigured(f"TIDEWIRE: a Sentinel is named host:port, not {sentinel!r}: {error}") from None
