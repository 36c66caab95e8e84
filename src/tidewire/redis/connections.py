"""Connections to Redis that are closed if they lead to the wrong server.

An address may be moved to another server: by DNS, a virtual address, a proxy, or Sentinels. Connections that are open
remain with the old server, which answers, refuses writes, and forwards no published messages. As soon as one connection
detects such a server, all connections of its event loop are closed and reconnect, including those of the channel layer.
"""

import asyncio
import contextlib
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import ClusterDownError, MasterDownError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

# Replies of a server that is not the primary, or a primary without its replicas. None of them can follow a write.
_WRONG_SERVER_ERRORS = (ReadOnlyError, MasterDownError, ClusterDownError)
# Prefixes of replies for which redis-py has no classes.
_WRONG_SERVER_PREFIXES = ("NOREPLICAS ", "UNBLOCKED ")

_connections: "WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[PrimaryConnection]]" = WeakKeyDictionary()
# Loops that have closed their connections, and have not written since.
_unwritten: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()
_aborts: "WeakKeyDictionary[asyncio.AbstractEventLoop, int]" = WeakKeyDictionary()
_reconnects: "WeakKeyDictionary[asyncio.AbstractEventLoop, int]" = WeakKeyDictionary()


def disconnect_all() -> None:
    """Close all connections of the running loop; each reconnects at its next use and resolves the address again."""
    _unwritten.add(asyncio.get_running_loop())
    _abort_all()


def after_write() -> None:
    """Must be called after a write. Connections that reconnected before the address moved are closed once more."""
    loop = asyncio.get_running_loop()
    if loop in _unwritten:
        _unwritten.discard(loop)
        _abort_all()


def _abort_all() -> None:
    loop = asyncio.get_running_loop()
    _aborts[loop] = _aborts.get(loop, 0) + 1
    for connection in list(_connections.get(loop, ())):
        connection.abort()


def reconnects() -> int:
    """Return the number of connections of the running loop that replaced a lost one.

    If the number grows, Redis may be a different server than before.
    """
    return _reconnects.get(asyncio.get_running_loop(), 0)


def is_wrong_server(error: BaseException | None) -> bool:
    """Return whether a reply means that the connection leads to the wrong server."""
    return isinstance(error, _WRONG_SERVER_ERRORS) or (
        isinstance(error, ResponseError) and str(error).startswith(_WRONG_SERVER_PREFIXES)
    )


class PrimaryConnection(AbstractConnection):
    """A connection that is closed if any connection of its event loop detects the wrong server."""

    _was_connected = False
    _is_aborted = False

    async def connect(self) -> None:
        """Like redis-py's method, which a pool calls for each use; replaces a connection that Redis has closed.

        redis-py 8 detects it only by the failure of the next command, which may be one that must not be repeated.
        """
        if self._reader is not None and self._reader.at_eof():
            await self.disconnect()
        await super().connect()  # type: ignore[no-untyped-call]  # redis-py has no types here

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        aborts = _aborts.get(loop, 0)
        await super()._connect()  # type: ignore[no-untyped-call,safe-super]  # the method of a sibling class
        if _aborts.get(loop, 0) != aborts:
            # This connection may have resolved the address before the others were closed.
            await self.disconnect()
            raise RedisConnectionError("the connection was aborted while it was made")
        _connections.setdefault(loop, WeakSet()).add(self)
        if self._was_connected:
            _reconnects[loop] = reconnects() + 1
        self._was_connected = True
        self._is_aborted = False

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """Like redis-py's method; a connection that was closed meanwhile raises the same error on every event loop."""
        if self._writer is not None and self._writer.transport.is_closing():
            # The asyncio of Python 3.12 and 3.13 raises TypeError or AttributeError (cpython#136234, mended in 3.13.6).
            await self.disconnect()
            raise RedisConnectionError("the connection was aborted")
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:
            # uvloop's exception for a closed transport.
            await self.disconnect()
            raise RedisConnectionError(f"the connection was aborted: {error}") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """Like redis-py's method; the reply of a wrong server is a lost connection, which the caller retries once."""
        try:
            return await super().read_response(*args, **options)
        except (ResponseError, RedisConnectionError) as error:
            # redis-py itself turns some of them into a lost connection, for connections through Sentinels.
            if not is_wrong_server(error) and not is_wrong_server(error.__context__):
                if isinstance(error, RedisConnectionError) and not self._is_aborted:
                    # The server closed the connection, or is loading another data set: the next write shows where Redis
                    # is.
                    _unwritten.add(asyncio.get_running_loop())
                raise
            await self.disconnect()
            disconnect_all()
            raise RedisConnectionError(f"not the primary any more: {error}") from error

    def abort(self) -> None:
        """End the connection for the next or pending read."""
        writer, self._is_aborted = self._writer, True
        if writer is not None and not writer.transport.is_closing():
            # uvloop raises if the other end has just closed the connection.
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()


class TCPConnection(PrimaryConnection, Connection):
    """The same over TCP."""


class TLSConnection(PrimaryConnection, SSLConnection):
    """The same over TLS."""


class UnixConnection(PrimaryConnection, UnixDomainSocketConnection):
    """The same over a Unix socket, which may lead to a proxy."""


class SentinelConnection(PrimaryConnection, SentinelManagedConnection):
    """The same for the primary that Sentinels name."""


class SentinelTLSConnection(PrimaryConnection, SentinelManagedSSLConnection):
    """The same for the primary, over TLS."""
