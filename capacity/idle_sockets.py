"""Cheap sockets for calibration: one thread has them all, sends heartbeats, answers pings, and ignores the rest.

A client of the tests would process events, and so use a share of the cores that are being measured.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from capacity.costs import CalibrateError
from deploy.local.layout import LOOPBACK
from testkit.frame_parser import CLOSE, TEXT
from testkit.page_client import HANDSHAKE_SECONDS, HEARTBEAT_SECONDS, PING
from testkit.websocket_client import WebSocketClient, handshake

# RFC 6455: the page that had the socket was left.
GOING_AWAY = (1001).to_bytes(2, "big")


OnText = Callable[[bytes], None]
Result = TypeVar("Result")


def ignore(_text: bytes) -> None:
    """Do nothing with a text."""


class IdleSocket:
    """An open socket to a port. `on_text` is called in the thread of all sockets."""

    def __init__(self, port: int, request: bytes, lost: Callable[[IdleSocket, int], None], on_text: OnText) -> None:
        self.port = port
        self.client = WebSocketClient(request, on_open=self._on_open, on_text=on_text, on_close=self._on_close)
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self._lost = lost
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close the socket as a page that is left does."""
        self.client.send(CLOSE, GOING_AWAY)

    def _on_open(self) -> None:
        self.opened.set_result(None)
        # Sockets that open together must not send their heartbeats together.
        self._timer = self._loop.call_later(random.random() * HEARTBEAT_SECONDS, self._beat)  # noqa: S311 - no secret

    def _beat(self) -> None:
        self.client.send(TEXT, PING)
        self._timer = self._loop.call_later(HEARTBEAT_SECONDS, self._beat)

    def _on_close(self, code: int, status: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.opened.done():
            self._lost(self, code)
        else:
            self.opened.set_exception(CalibrateError(f"the handshake ended with status {status}"))


class IdleSockets:
    """`with IdleSockets(port) as sockets`: the sockets are closed at the end of the block."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="idle-sockets", daemon=True)
        self.sockets: list[IdleSocket] = []
        self.lost: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._run(self._abort())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self, path: str, cookie: str, on_text: OnText = ignore, *, port: int = 0) -> IdleSocket:
        """Open a socket through nginx, or directly to a node's port. Raises `CalibrateError` if it is refused."""
        request = handshake(f"localhost:{self._port}", path, cookie)
        try:
            return self._run(self._open(port or self._port, request, on_text))
        except (TimeoutError, OSError, CalibrateError) as error:
            raise CalibrateError(f"{path}: {error}") from error

    def close(self, socket: IdleSocket) -> None:
        """Close a socket. Raises `CalibrateError` if a socket was lost before."""
        self.check()
        self.sockets.remove(socket)
        self._loop.call_soon_threadsafe(socket.close)

    def leave(self, port: int) -> None:
        """Close all sockets to this port."""
        for socket in [each for each in self.sockets if each.port == port]:
            self.close(socket)

    def check(self) -> None:
        """Raise `CalibrateError` if a socket was lost."""
        if self.lost:
            raise CalibrateError(f"{len(self.lost)} sockets were lost, the first with {self.lost[0]}")

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANDSHAKE_SECONDS)

    async def _open(self, port: int, request: bytes, on_text: OnText) -> IdleSocket:
        socket = IdleSocket(port, request, self._on_lost, on_text)
        await asyncio.get_running_loop().create_connection(lambda: socket.client, LOOPBACK, port)
        await socket.opened
        self.sockets.append(socket)
        return socket

    def _on_lost(self, socket: IdleSocket, code: int) -> None:
        # A socket that this side has closed is no longer in the list.
        if socket in self.sockets:
            self.lost.append(code)

    async def _abort(self) -> None:
        for socket in self.sockets:
            socket.client.abort()
