"""Cheap clients for calibration: sockets read by one thread, which beats, answers pings, and looks at nothing else.

What a test's client does with an event would take its share of the cores that are being measured.
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

from websocket import ABNF

from deploy.local.layout import LOOPBACK
from loadtest.capacity.workload import CalibrateError
from loadtest.frames import Frames

PING = b'{"type":"ping"}'
HANDSHAKE_SECONDS = 20.0
# As client.js.
HEARTBEAT_SECONDS = 20.0
WAKE_SECONDS = 0.05
CHUNK_BYTES = 65536


def client_frame(opcode: int, body: bytes) -> bytes:
    """Masked with zeros, which leave the body as it is: a server has to unmask it all the same."""
    return bytes([0x80 | opcode, 0x80 | len(body), 0, 0, 0, 0]) + body


class Client:
    """A socket that is open to a port. `on_text` is called in the crowd's thread."""

    def __init__(self, opened: socket.socket, port: int, on_text: Callable[[bytes], None] | None = None) -> None:
        self.socket = opened
        self.port = port
        self._frames = Frames()
        self._on_text = on_text

    def take(self, data: bytes) -> None:
        for opcode, body in self._frames.feed(data):
            if opcode == ABNF.OPCODE_TEXT:
                if self._on_text is not None:
                    self._on_text(body)
            elif opcode == ABNF.OPCODE_PING:
                self.socket.sendall(client_frame(ABNF.OPCODE_PONG, body))
            elif opcode == ABNF.OPCODE_CLOSE:
                raise CalibrateError(f"the server closed a socket with {int.from_bytes(body[:2], 'big')}")

    def beat(self) -> None:
        """As the page's client does every so many seconds."""
        self.socket.sendall(client_frame(ABNF.OPCODE_TEXT, PING))


class Crowd:
    """`with Crowd(port) as crowd`: its sockets close with it."""

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
        """Through nginx, or straight to a node's port. Raises `CalibrateError` where it is refused."""
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
        """As a page that is left. Raises `CalibrateError` where one was lost before."""
        self.check()
        self.clients.remove(client)
        self._selector.unregister(client.socket)
        client.socket.sendall(client_frame(ABNF.OPCODE_CLOSE, (1001).to_bytes(2, "big")))
        client.socket.close()

    def leave(self, port: int) -> None:
        """Close all that are open to this port."""
        for client in [each for each in self.clients if each.port == port]:
            self.close(client)

    def check(self) -> None:
        """Raises `CalibrateError` where a socket was lost."""
        if self.lost:
            raise CalibrateError(f"{len(self.lost)} sockets were lost, the first: {self.lost[0]}")

    def _read(self) -> None:
        beaten, owed = time.monotonic(), 0.0
        while not self._over.is_set():
            for key, _ in self._selector.select(WAKE_SECONDS):
                self._hear(key.data)
            # Every socket has its heartbeat in its time, and never all at once.
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
            # One that was closed here meanwhile has no descriptor, and is no loss.
            if client in self.clients:
                self._selector.unregister(client.socket)
                self.lost.append(error)
