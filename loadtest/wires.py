"""How what arrives on an open socket is read: by `websocket-client`, or by the loop itself.

Both block their greenlet until the socket ends and hand every text to `on_text`. Neither opens nor closes a socket.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import Protocol

import gevent
from gevent.event import Event as Signal
from websocket import ABNF, WebSocket, WebSocketTimeoutException

from loadtest.frames import FrameError, Frames

OnText = Callable[[bytes], None]
# What is read at once: a burst of a hundred events, and no more memory than that.
CHUNK_BYTES = 65536
READABLE = 1
ENGINES = ("loop", "greenlets")


class Closed(Exception):
    """The other end closed the socket, or lost it (1006)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code

    @property
    def final(self) -> bool:
        return 3500 <= self.code < 4000 or 4500 <= self.code < 5000


class Wire(Protocol):
    def read(self) -> None:
        """Until the socket ends. Raises `Closed`, or the socket's own error."""

    def stop(self) -> None:
        """Nothing is read any more. Before the socket is closed, whoever closes it."""


def wire(engine: str, opened: WebSocket, on_text: OnText, *, silence_seconds: float) -> Wire:
    """By the engine's name. What is encrypted is read by `websocket-client`: a loop does not see what TLS holds."""
    kind = LoopWire if engine == "loop" and not hasattr(opened.sock, "pending") else GreenletWire
    return kind(opened, on_text, silence_seconds)


def _code(body: bytes) -> int:
    return int(struct.unpack("!H", body[:2])[0]) if len(body) >= 2 else 1005


class GreenletWire:
    """A greenlet that waits in `recv`: about 40 us of CPU for each message."""

    def __init__(self, opened: WebSocket, on_text: OnText, silence_seconds: float) -> None:
        self._opened = opened
        self._on_text = on_text
        opened.settimeout(silence_seconds)

    def read(self) -> None:
        while True:
            try:
                opcode, frame = self._opened.recv_data_frame()
            except WebSocketTimeoutException as error:
                raise Closed(1006) from error
            if opcode == ABNF.OPCODE_CLOSE:
                raise Closed(_code(frame.data))
            self._on_text(frame.data)

    def stop(self) -> None:
        """Its greenlet is killed, or wakes up from the closed socket."""


class LoopWire:
    """The loop calls back when there is something to read: no switch of greenlets, one `read` for all that is there.

    `on_text` runs in the loop, so it must never wait.
    """

    def __init__(self, opened: WebSocket, on_text: OnText, silence_seconds: float) -> None:
        self._opened = opened
        self._on_text = on_text
        self._silence_seconds = silence_seconds
        self._frames = Frames()
        self._ended = Signal()
        self._why: Exception | None = None
        assert opened.sock is not None
        self._fd: int = opened.sock.fileno()
        self._loop = gevent.get_hub().loop
        self._heard: float = self._loop.now()
        self._watcher = self._loop.io(self._fd, READABLE)

    def read(self) -> None:
        self._watcher.start(self._readable)
        try:
            while not self._ended.wait(self._silence_seconds):
                if self._loop.now() - self._heard >= self._silence_seconds:
                    raise Closed(1006)
        finally:
            self.stop()
        if self._why is not None:
            raise self._why

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
            self._heard = self._loop.now()
            for opcode, body in self._frames.feed(data):
                if opcode == ABNF.OPCODE_TEXT:
                    self._on_text(body)
                elif opcode == ABNF.OPCODE_PING:
                    # Sending may have to wait, which the loop cannot.
                    gevent.spawn(self._opened.pong, body)
                elif opcode == ABNF.OPCODE_CLOSE:
                    raise Closed(_code(body))
                if self._watcher is None:
                    # The page was left by what was just told.
                    return
        except BlockingIOError:
            return
        # Whatever it was belongs to the greenlet that reads: here it would be the loop's.
        except Exception as error:  # noqa: BLE001
            self._why = error
            self.stop()


__all__ = ["ENGINES", "Closed", "FrameError", "GreenletWire", "LoopWire", "Wire", "wire"]
