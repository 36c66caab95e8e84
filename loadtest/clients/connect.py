"""Opens a WebSocket with `websocket-client`. The response to a plain handshake is read by lines, not by bytes."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from websocket import WebSocket, create_connection

# Longer than any line of a response.
HEAD_BYTES = 4096


class ResponseLines:
    """A socket with a `recv` that returns the head of a response by lines, and no bytes beyond the head.

    `websocket-client` reads one byte at a time until it receives a newline alone, which is seven hundred calls for a
    response. It joins the parts that it receives, so a line may come in two parts, of which the second is its newline.
    """

    def __init__(self, opened: socket.socket) -> None:
        self.opened = opened

    def recv(self, size: int) -> bytes:
        peeked = self.opened.recv(HEAD_BYTES, socket.MSG_PEEK)
        line = peeked.find(b"\n")
        # All of an incomplete line, the newline of an empty line, or nothing if the peer has disconnected.
        return self.opened.recv((line or 1) if line >= 0 else len(peeked)) if peeked else b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)


def socket_url(origin: str, path: str, *, at: str, addresses: Sequence[str], turn: int) -> str:
    """Return a URL on the page's own host, secure if the page is, or on the given addresses in turns."""
    base = addresses[turn % len(addresses)].rstrip("/") if addresses else origin.replace("http", "ws", 1)
    return f"{base}{path}{'?' + urlencode({'at': at}) if at else ''}"


def open_websocket(url: str, *, timeout_seconds: float, **options: Any) -> WebSocket:
    """Connect, and return the WebSocket. Options and exceptions are those of `websocket.create_connection`."""
    where = urlsplit(url)
    lines = None
    if where.scheme == "ws":
        opened = socket.create_connection((where.hostname or "", where.port or 80), timeout_seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = ResponseLines(opened)
    try:
        websocket: WebSocket = create_connection(url, timeout=timeout_seconds, socket=lines, **options)
    except BaseException:
        if lines is not None:
            lines.close()
        raise
    if lines is not None:
        websocket.sock = lines.opened
    return websocket


def reset(opened: WebSocket) -> None:
    """Cut the connection so that the reader here wakes at once and no orderly close reaches the server."""
    if opened.sock is not None:
        with contextlib.suppress(OSError):
            opened.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            opened.sock.shutdown(socket.SHUT_RDWR)
