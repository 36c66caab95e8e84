"""The URL of Redis, as a setting has it. No I/O but the reading of certificate files."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, parse_qsl

from redis.asyncio.connection import Connection, SSLConnection, parse_url
from redis.exceptions import RedisError

from tidewire.addresses import server_url


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
