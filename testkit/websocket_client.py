"""A WebSocket client on an asyncio transport (RFC 6455), as cheap as possible in Python: thousands share one core.

Handles the handshake and the frames; its owner handles the texts. Tests with few sockets use the library `websockets`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Callable

from testkit.frame_parser import CLOSE, PING, PONG, TEXT, FrameError, FrameParser

# RFC 6455 defines these codes for connections that end without a close frame, and for a close frame without a code.
ABNORMAL, NO_STATUS = 1006, 1005
# After a close frame, a server must end the connection within this time, as in browsers.
CLOSE_SECONDS = 5.0


def handshake(host: str, path: str, cookie: str) -> bytes:
    """Return a browser's handshake request, without the headers that the server does not read."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nCookie: {cookie}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode()


def client_frame(opcode: int, body: bytes) -> bytes:
    """Return a client's frame. The mask is zero, which a server must accept."""
    size = len(body)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
    return head + b"\0\0\0\0" + body


class WebSocketClient(asyncio.Protocol):
    """`on_open` is called once, `on_text` with each text, `on_close` with the close code and the HTTP status."""

    def __init__(
        self,
        request: bytes,
        *,
        on_open: Callable[[], None],
        on_text: Callable[[bytes], None],
        on_close: Callable[[int, int], None],
    ) -> None:
        self._request = request
        self._on_open, self._on_text, self._on_close = on_open, on_text, on_close
        self._head = b""
        self._frames = FrameParser()
        self._code = ABNORMAL
        self._status = 0
        # uvloop's transports do not inherit from asyncio's classes.
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._status == 101

    def send(self, opcode: int, body: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(client_frame(opcode, body))

    def abort(self) -> None:
        """End the connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # as above
        transport.write(self._request)  # type: ignore[attr-defined]  # as above

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_close(self._code, self._status)

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._status = int(head[9:12])
            if not self.is_open:
                self.abort()
                return
            self._on_open()
        try:
            for opcode, body in self._frames.feed(data):
                if opcode == TEXT:
                    self._on_text(body)
                else:
                    self._control(opcode, body)
        except FrameError:
            self.abort()

    def _control(self, opcode: int, body: bytes) -> None:
        if opcode == PING:
            self.send(PONG, body)
        elif opcode == CLOSE:
            self._code = int.from_bytes(body[:2], "big") or NO_STATUS
            self.send(CLOSE, body[:2])
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.abort)
