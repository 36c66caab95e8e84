"""Connections to Redis that leave a server which is no longer the right one.

One address may come to mean another server: by DNS, by a virtual address, by a proxy, by Sentinels. Open connections
stay with the old one, which answers, refuses writes, and passes on nothing of what is published. As soon as one
connection meets such a server, all of its event loop are cut and connect again, the channel layer's among them.
"""

import asyncio
import contextlib
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.exceptions import ClusterDownError, MasterDownError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

# Replies of a server that is not the primary, or is one without its replicas. None of them comes after a write.
_WRONG_SERVER = (ReadOnlyError, MasterDownError, ClusterDownError)
# redis-py has no classes for these.
_WRONG_SERVER_TOO = ("NOREPLICAS ", "UNBLOCKED ")

_connections: "WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Leaving]]" = WeakKeyDictionary()
# Loops whose connections were cut, and that have written nothing since.
_left: "WeakSet[asyncio.AbstractEventLoop]" = WeakSet()
_cuts: "WeakKeyDictionary[asyncio.AbstractEventLoop, int]" = WeakKeyDictionary()
_returns: "WeakKeyDictionary[asyncio.AbstractEventLoop, int]" = WeakKeyDictionary()


def leave() -> None:
    """Cut every connection of the running loop: each connects again at its next use, and asks where Redis is."""
    _left.add(asyncio.get_running_loop())
    _cut_all()


def written() -> None:
    """Call after a write: connections that came back before the address led elsewhere are cut once more."""
    loop = asyncio.get_running_loop()
    if loop in _left:
        _left.discard(loop)
        _cut_all()


def _cut_all() -> None:
    loop = asyncio.get_running_loop()
    _cuts[loop] = _cuts.get(loop, 0) + 1
    for connection in list(_connections.get(loop, ())):
        connection.cut()


def returns() -> int:
    """How many connections of the running loop were made in place of one that was lost.

    Where the number grows, Redis may be another one than before.
    """
    return _returns.get(asyncio.get_running_loop(), 0)


def is_wrong_server(error: BaseException | None) -> bool:
    """Whether a reply means that the connection leads to the wrong server."""
    return isinstance(error, _WRONG_SERVER) or (
        isinstance(error, ResponseError) and str(error).startswith(_WRONG_SERVER_TOO)
    )


class Leaving(AbstractConnection):
    """A connection that is cut where any connection of its event loop meets the wrong server."""

    _was_connected = False
    _is_cut = False

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        cuts = _cuts.get(loop, 0)
        await super()._connect()  # type: ignore[no-untyped-call,safe-super]  # of the class beside this one
        if _cuts.get(loop, 0) != cuts:
            # It may have asked where Redis is before the others were cut.
            await self.disconnect()
            raise RedisConnectionError("the connection was cut while it was made")
        _connections.setdefault(loop, WeakSet()).add(self)
        if self._was_connected:
            _returns[loop] = returns() + 1
        self._was_connected = True
        self._is_cut = False

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        """As redis-py; a connection that was cut meanwhile is a lost one on every event loop."""
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:
            # uvloop's word for a transport that is closed.
            await self.disconnect()
            raise RedisConnectionError(f"the connection was cut: {error}") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """As redis-py; the reply of a wrong server is a lost connection, which its caller tries once more."""
        try:
            return await super().read_response(*args, **options)
        except (ResponseError, RedisConnectionError) as error:
            # redis-py turns some of them into a lost connection itself, for the connections of Sentinels.
            if not is_wrong_server(error) and not is_wrong_server(error.__context__):
                if isinstance(error, RedisConnectionError) and not self._is_cut:
                    # The server closed it, or is loading another's data: the next write shows where Redis is.
                    _left.add(asyncio.get_running_loop())
                raise
            await self.disconnect()
            leave()
            raise RedisConnectionError(f"not the primary any more: {error}") from error

    def cut(self) -> None:
        """Let the next read, or one that is waiting, find the end of the connection."""
        writer, self._is_cut = self._writer, True
        if writer is not None and not writer.transport.is_closing():
            # uvloop refuses where the other end has just closed it.
            with contextlib.suppress(RuntimeError):
                writer.transport.abort()


class LeavingTCP(Leaving, Connection):
    """The same over TCP."""


class LeavingTLS(Leaving, SSLConnection):
    """The same over TLS."""


class LeavingSocket(Leaving, UnixDomainSocketConnection):
    """The same over a Unix socket, behind which may be a proxy."""


class LeavingPrimary(Leaving, SentinelManagedConnection):
    """The same to the primary that Sentinels name."""


class LeavingPrimaryTLS(Leaving, SentinelManagedSSLConnection):
    """The same over TLS."""
