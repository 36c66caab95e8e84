"""A WebSocket on a plain transport (RFC 6455), as cheap as possible in Python: thousands share one core.

Handles frames and the handshake. The client handles the texts.
"""

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from typing import Any

CLOSE, PING, PONG, TEXT = 8, 9, 10, 1
# RFC 6455 defines this code for connections that end without a close frame.
ABNORMAL = 1006
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


def masked(opcode: int, body: bytes) -> bytes:
    """Return a client's frame. The mask is zero, which a server must accept."""
    size = len(body)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
    return head + b"\0\0\0\0" + body


class Wire(asyncio.Protocol):
    """`opened` is called once, `heard` with each text, `lost` at the end with the close code and the HTTP status."""

    def __init__(
        self,
        request: bytes,
        *,
        opened: Callable[[], None],
        heard: Callable[[bytes], None],
        lost: Callable[[int, int], None],
    ) -> None:
        self._request = request
        self._opened, self._heard, self._lost = opened, heard, lost
        self._waiting = b""
        self._code = ABNORMAL
        self._status = 0
        self.transport: Any = None

    @property
    def open(self) -> bool:
        return self._status == 101

    def connection_made(self, transport: Any) -> None:
        # uvloop's transports do not inherit from asyncio's classes.
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        if not self.open:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._waiting = data
                return
            self._status = int(head[9:12])
            if not self.open:
                self._end()
                return
            self._opened()
            data = rest
        start = self._frames(data)
        if start < len(data):
            self._waiting = data[start:]

    def _frames(self, data: bytes) -> int:
        """Process all complete frames. Return the start of the first incomplete one."""
        start, size = 0, len(data)
        while start + 2 <= size:
            opcode, length, body = data[start] & 15, data[start + 1], start + 2
            if length == 126:
                length, body = int.from_bytes(data[body : body + 2], "big"), body + 2
            elif length == 127:
                length, body = int.from_bytes(data[body : body + 8], "big"), body + 8
            end = body + length
            if end > size:
                break
            if opcode == TEXT:
                self._heard(data[body:end])
            else:
                self._control(opcode, data[body:end])
            start = end
        return start

    def _control(self, opcode: int, body: bytes) -> None:
        if opcode == PING:
            self.send(PONG, body)
        elif opcode == CLOSE:
            self._code = int.from_bytes(body[:2], "big") or 1005
            self.send(CLOSE, body[:2])
            asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._end)

    def send(self, opcode: int, body: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(masked(opcode, body))

    def _end(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._lost(self._code, self._status)
