"""Cheap clients for calibration: one thread reads all sockets, sends heartbeats, answers pings, and ignores the rest.

A client of the tests would process events, and so use a share of the cores that are being measured.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from capacity.workload import CalibrateError
from deploy.local.layout import LOOPBACK
from testkit.frame_parser import CLOSE, PING, PONG, TEXT, FrameParser

HEARTBEAT = b'{"type":"ping"}'
HANDSHAKE_SECONDS = 20.0
# The same value as in client.js.
HEARTBEAT_SECONDS = 20.0
WAKE_SECONDS = 0.05
CHUNK_BYTES = 65536


def client_frame(opcode: int, body: bytes) -> bytes:
    """Return a frame masked with zeros, which leave the body unchanged; a server must unmask it nevertheless."""
    return bytes([0x80 | opcode, 0x80 | len(body), 0, 0, 0, 0]) + body


class Client:
    """An open socket to a port. `on_text` is called in the crowd's thread."""

    def __init__(self, opened: socket.socket, port: int, on_text: Callable[[bytes], None] | None = None) -> None:
        self.socket = opened
        self.port = port
        self._frames = FrameParser()
        self._on_text = on_text

    def take(self, data: bytes) -> None:
        for opcode, body in self._frames.feed(data):
            if opcode == TEXT:
                if self._on_text is not None:
                    self._on_text(body)
            elif opcode == PING:
                self.socket.sendall(client_frame(PONG, body))
            elif opcode == CLOSE:
                raise CalibrateError(f"the server closed a socket with {int.from_bytes(body[:2], 'big')}")

    def beat(self) -> None:
        """Send a heartbeat, as the page's client does at intervals."""
        self.socket.sendall(client_frame(TEXT, HEARTBEAT))


class Crowd:
    """`with Crowd(port) as crowd`: the sockets are closed at the end of the block."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name="crowd", daemon=True)
        self.clients: list[Client] = []
        self.lost: list[Exception] = []
        self._next = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        for client in self.clients:
            client.socket.close()
        self._selector.close()

    def open(self, path: str, cookie: str, on_text: Callable[[bytes], None] | None = None, *, port: int = 0) -> Client:
        """Open a socket through nginx, or directly to a node's port. Raises `CalibrateError` if it is refused."""
        opened = socket.create_connection((LOOPBACK, port or self._port), HANDSHAKE_SECONDS)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost:{self._port}\r\nOrigin: http://localhost:{self._port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nCookie: {cookie}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := opened.recv(CHUNK_BYTES)):
                raise CalibrateError(f"{path}: no answer")
            head += more
        answer, _, rest = head.partition(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101"):
            raise CalibrateError(f"{path}: {answer.splitlines()[0].decode(errors='replace')}")
        client = Client(opened, port or self._port, on_text)
        client.take(rest)
        self.clients.append(client)
        self._selector.register(opened, selectors.EVENT_READ, client)
        return client

    def close(self, client: Client) -> None:
        """Close a socket as a page that is left does. Raises `CalibrateError` if a socket was lost before."""
        self.check()
        self.clients.remove(client)
        self._selector.unregister(client.socket)
        client.socket.sendall(client_frame(CLOSE, (1001).to_bytes(2, "big")))
        client.socket.close()

    def leave(self, port: int) -> None:
        """Close all sockets to this port."""
        for client in [each for each in self.clients if each.port == port]:
            self.close(client)

    def check(self) -> None:
        """Raise `CalibrateError` if a socket was lost."""
        if self.lost:
            raise CalibrateError(f"{len(self.lost)} sockets were lost, the first: {self.lost[0]}")

    def _read(self) -> None:
        beaten, owed = time.monotonic(), 0.0
        while not self._over.is_set():
            for key, _ in self._selector.select(WAKE_SECONDS):
                self._hear(key.data)
            # Heartbeats are spread over their interval, and must never be sent all at once.
            now = time.monotonic()
            owed += len(self.clients) * (now - beaten) / HEARTBEAT_SECONDS
            beaten = now
            for _ in range(int(owed)):
                owed -= 1
                self._next = (self._next + 1) % max(1, len(self.clients))
                with contextlib.suppress(OSError, IndexError):
                    self.clients[self._next].beat()

    def _hear(self, client: Client) -> None:
        try:
            data = os.read(client.socket.fileno(), CHUNK_BYTES)
            if not data:
                raise CalibrateError("the server let a socket go")
            client.take(data)
        except (OSError, CalibrateError, ValueError) as error:
            # A socket that was closed here in the meantime has no descriptor, and is not lost.
            if client in self.clients:
                self._selector.unregister(client.socket)
                self.lost.append(error)
