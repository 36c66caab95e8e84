"""Readers of open sockets: the loop itself, or `websocket-client` for TLS.

Both block their greenlet until the socket ends, and pass each text to `on_text`. Neither opens or closes a socket.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from typing import Protocol

import gevent
from gevent.event import Event as Signal
from websocket import WebSocket, WebSocketException, WebSocketTimeoutException

from testkit.frame_parser import CLOSE, PING, TEXT, FrameError, FrameParser
from tidewire.close_codes import is_final

OnText = Callable[[bytes], None]
# Bytes of one read: enough for a burst of a hundred events, and a limit of memory.
CHUNK_BYTES = 65536
READABLE = 1


class Unreadable(Exception):
    """A message breaks the protocol of the live sockets, which is a fault of the product."""


class Closed(Exception):
    """The peer closed the socket, or the connection was lost (1006)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code

    @property
    def final(self) -> bool:
        return is_final(self.code)


class SocketReader(Protocol):
    def read(self) -> None:
        """Read until the socket ends. Raises `Closed`, or the socket's own error."""

    def stop(self) -> None:
        """Stop reading. This must come before the socket is closed."""


def socket_reader(opened: WebSocket, on_text: OnText, *, idle_timeout_seconds: float) -> SocketReader:
    """Return a reader. TLS needs `websocket-client`, because the loop cannot see bytes that TLS buffers."""
    kind = GreenletReader if hasattr(opened.sock, "pending") else LoopReader
    return kind(opened, on_text, idle_timeout_seconds)


def _code(body: bytes) -> int:
    return int(struct.unpack("!H", body[:2])[0]) if len(body) >= 2 else 1005


class GreenletReader:
    """A greenlet that waits in `recv`: about 40 us of CPU for each message."""

    def __init__(self, opened: WebSocket, on_text: OnText, idle_timeout_seconds: float) -> None:
        self._opened = opened
        self._on_text = on_text
        opened.settimeout(idle_timeout_seconds)

    def read(self) -> None:
        while True:
            try:
                opcode, frame = self._opened.recv_data_frame()
            except WebSocketTimeoutException as error:
                raise Closed(1006) from error
            if opcode == CLOSE:
                raise Closed(_code(frame.data))
            self._on_text(frame.data)

    def stop(self) -> None:
        """Do nothing: the greenlet is killed, or wakes up from the closed socket."""


class LoopReader:
    """The loop calls back when there are bytes to read: no switch of greenlets, one `read` for all that have arrived.

    `on_text` runs in the loop, so it must never wait.
    """

    def __init__(self, opened: WebSocket, on_text: OnText, idle_timeout_seconds: float) -> None:
        self._opened = opened
        self._on_text = on_text
        self._idle_timeout_seconds = idle_timeout_seconds
        self._frames = FrameParser()
        self._ended = Signal()
        self._error: Exception | None = None
        assert opened.sock is not None
        self._fd: int = opened.sock.fileno()
        self._loop = gevent.get_hub().loop
        self._last_read: float = self._loop.now()
        self._watcher = self._loop.io(self._fd, READABLE)

    def read(self) -> None:
        self._watcher.start(self._readable)
        try:
            while not self._ended.wait(self._idle_timeout_seconds):
                if self._loop.now() - self._last_read >= self._idle_timeout_seconds:
                    raise Closed(1006)
        finally:
            self.stop()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._ended.set()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, CHUNK_BYTES)
            if not data:
                raise Closed(1006)
            self._last_read = self._loop.now()
            for opcode, body in self._frames.feed(data):
                if opcode == TEXT:
                    self._on_text(body)
                elif opcode == PING:
                    # Sending may have to wait, which the loop cannot do.
                    gevent.spawn(self._answer, body)
                elif opcode == CLOSE:
                    raise Closed(_code(body))
                if self._watcher is None:
                    # The last message made its handler leave the page.
                    return
        except BlockingIOError:
            return
        # The greenlet that reads must raise any exception; here it would be raised in the loop.
        except Exception as error:  # noqa: BLE001
            self._error = error
            self.stop()

    def _answer(self, ping: bytes) -> None:
        # The socket may have been closed since the ping, which its reader knows.
        with contextlib.suppress(OSError, WebSocketException):
            self._opened.pong(ping)


__all__ = ["Closed", "FrameError", "GreenletReader", "LoopReader", "SocketReader", "Unreadable", "socket_reader"]
