"""A writer over plain ASGI `send`, for a server that provides no writer."""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tidewire.fanout.frames import Frame

logger = logging.getLogger(__name__)

# A client that reads must get the close frame within this time. Then the application ends in any case: no server
# guarantees to end a socket if its client neither reads nor answers a close.
CLOSE_SECONDS = 5.0


class SendWriter:
    """Sends in order, from a task that exists only while messages are queued.

    The consumer's own messages also go through `send`, so that none overtakes an earlier frame. `on_abort` is called
    when the socket must end without its client.
    """

    __slots__ = ("_aborted", "_closed", "_queue", "_send", "_task", "backlog", "on_abort")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = self._aborted = False
        self.backlog = 0
        self.on_abort: Callable[[], None] | None = None

    async def send(self, message: dict[str, Any]) -> None:
        """Send any ASGI message after the queued frames. A close is the last one, and is sent after an `abort` too."""
        self._put([(message, 0)])
        if message["type"] == "websocket.close" and not self._closed:
            self._closed = True
            self._end_soon()
        if self._task is not None:
            await asyncio.wait([self._task])

    def write(self, frames: list[Frame], wire: bytes) -> None:
        if not self._aborted:
            self._put([({"type": "websocket.send", "text": frame.text}, len(frame.wire)) for frame in frames])

    def _put(self, messages: list[tuple[dict[str, Any], int]]) -> None:
        if self._closed:
            return
        self._queue.extend(messages)
        self.backlog += sum(size for _, size in messages)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def try_write(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        if self.backlog and self.backlog + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def abort(self) -> None:
        if not self._aborted:
            self._end()
            self._end_soon()
        if self._task is not None:
            self._task.cancel()

    def _end_soon(self) -> None:
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._end()
        if self._task is not None:
            self._task.cancel()
        on_abort, self.on_abort = self.on_abort, None
        if on_abort is not None:
            on_abort()

    async def _run(self) -> None:
        try:
            while self._queue:
                message, size = self._queue.popleft()
                await self._send(message)
                self.backlog -= size
        except Exception as error:  # noqa: BLE001  # servers have their own exceptions; each means a lost socket
            logger.debug("a socket could not be sent to: %s", error)
            self._end()
        finally:
            self._task = None

    def _end(self) -> None:
        self._aborted = True
        self._queue.clear()
        self.backlog = 0


def abort_transport(receive: object) -> None:
    """Reset the connection behind a server's `receive`, if its transport is accessible. ASGI has no message for this.

    uvicorn's `receive` is a method of the asyncio protocol. Without a reset, uvicorn waits for a stalled client to read
    the buffer. With other servers the close and the application's return must suffice.
    """
    # `isinstance` would fail: uvloop's transports have no base class in asyncio.
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if not hasattr(transport, "abort"):
        return
    transport_socket = transport.get_extra_info("socket")
    if transport_socket is not None:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(transport_socket.fileno())) as sock:
            # Otherwise the kernel would go on sending its buffered data to the client.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
