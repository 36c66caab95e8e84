"""The address of Redis: one host, or the primary that Sentinels name. All connections are configured here.

A host is a dict as used by `channels_redis`, so that the channel layer and the library connect to the same Redis.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, parse_qsl

from django.core.exceptions import ImproperlyConfigured
from redis.asyncio import BlockingConnectionPool, ConnectionPool
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tidewire.addresses import host_port, server_url
from tidewire.redis_connection import (
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


def redis_url(text: str, *, host_needed: bool = True) -> str:
    """Return the URL if redis-py can use all of it. Raises `ValueError`, which describes the error without the URL.

    redis-py ignores a database that is not a number, and lets the URL override options that this library sets.
    """
    parts = server_url(text, ("redis", "rediss", "unix"))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(pairs) > len(options):
        raise ValueError("it names an option twice behind its `?`")
    if any(name != "db" and not name.startswith("ssl_") for name in options):
        raise ValueError("behind its `?` only db and the options for TLS (ssl_...) can stand")
    _check_database(parts, options)
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("it names no socket: unix:///run/redis.sock")
    if parts.scheme != "unix" and host_needed and not parts.hostname:
        raise ValueError("it names no host: redis://host:6379/0")
    if parts.username and parts.password is None:
        raise ValueError("it names a user without a password; a password alone is written redis://:password@host")
    _check_options(text)
    return text


def _check_database(parts: SplitResult, options: Mapping[str, str]) -> None:
    in_path = parts.path.removeprefix("/") if parts.scheme != "unix" else ""
    for number in (in_path, options.get("db", "")):
        if number and not (number.isascii() and number.isdecimal()):
            raise ValueError("its database must be a number: redis://host:6379/0")
    if in_path and options.get("db", in_path) != in_path:
        raise ValueError("it names two databases")


def _check_options(text: str) -> None:
    options = dict(parse_url(text))
    connection_class: Any = options.pop("connection_class", Connection)
    try:
        connection = connection_class(**options)
        if isinstance(connection, SSLConnection):
            # Reads the certificate files without connecting.
            connection.ssl_context.get()
    except (TypeError, ValueError, RedisError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else ""
        names = ", ".join(sorted(name for name in options if name.startswith("ssl_")))
        raise ValueError(f"its options for TLS ({names}) cannot be used{f': {reason}' if reason else ''}") from None


def redis_host(
    url: str, *, sentinels: Sequence[str] = (), master: str = "mymaster", sentinel_password: str = ""
) -> dict[str, Any]:
    """Return a host for `CHANNEL_LAYERS` and for `pool`.

    With `sentinels` (`host:port` each) the URL's host is not used: they name the primary of `master`. Raises
    `ImproperlyConfigured` if a Sentinel's address is invalid.
    """
    common = {
        "socket_connect_timeout": SOCKET_SECONDS,
        "health_check_interval": HEALTH_SECONDS,
        "retry": Retry(NoBackoff(), RETRIES, supported_errors=(RedisConnectionError,)),
        # redis-py 5 retries only after the exceptions in this list as well.
        "retry_on_error": [RedisConnectionError],
    }
    if not url.startswith("unix:"):
        common["socket_keepalive_options"] = _keepalive()
    options = dict(parse_url(url))
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
