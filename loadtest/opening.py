"""Opens a websocket by `websocket-client`. A plain one's answer is read line by line rather than byte by byte."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from websocket import WebSocket, create_connection

# More than a line of an answer has.
HEAD_BYTES = 4096


class Lines:
    """A socket whose `recv` gives the head of an answer line by line; nothing beyond the head is taken.

    `websocket-client` asks for one byte at a time until it is given a newline alone, which is seven hundred calls for
    an answer, and puts together whatever it was given: so a line may come in two parts, the second its newline.
    """

    def __init__(self, opened: socket.socket) -> None:
        self.opened = opened

    def recv(self, size: int) -> bytes:
        peeked = self.opened.recv(HEAD_BYTES, socket.MSG_PEEK)
        line = peeked.find(b"\n")
        # All of a line that is not whole yet, an empty one's newline, or nothing where the other end has gone.
        return self.opened.recv((line or 1) if line >= 0 else len(peeked)) if peeked else b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.opened, name)


def socket_url(origin: str, path: str, *, at: str, addresses: Sequence[str], turn: int) -> str:
    """Of the page's own host, secure where the page is; or of the addresses that were given, in turns."""
    base = addresses[turn % len(addresses)].rstrip("/") if addresses else origin.replace("http", "ws", 1)
    return f"{base}{path}{'?' + urlencode({'at': at}) if at else ''}"


def open_websocket(url: str, *, timeout_seconds: float, **options: Any) -> WebSocket:
    """Connected; raises what `websocket.create_connection` does, to which the other options go."""
    where = urlsplit(url)
    lines = None
    if where.scheme == "ws":
        opened = socket.create_connection((where.hostname or "", where.port or 80), timeout_seconds)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = Lines(opened)
    try:
        made: WebSocket = create_connection(url, timeout=timeout_seconds, socket=lines, **options)
    except BaseException:
        if lines is not None:
            lines.close()
        raise
    if lines is not None:
        made.sock = lines.opened
    return made
