"""A writer over plain ASGI `send`, for a server that offers no writer of its own."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tidewire.frames import Frame

logger = logging.getLogger(__name__)


class SendWriter:
    """Sends in order from a task that lives only while something waits.

    What the consumer itself sends goes through `send` too, so that nothing overtakes what was written before.
    """

    __slots__ = ("_closed", "_cut", "_queue", "_send", "_task", "backlog")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._queue: deque[tuple[dict[str, Any], int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._closed = self._cut = False
        self.backlog = 0

    async def send(self, message: dict[str, Any]) -> None:
        """Send any ASGI message after what waits; a close is the last one, and goes out after a `cut` too."""
        self._put([(message, 0)])
        self._closed |= message["type"] == "websocket.close"
        if self._task is not None:
            await asyncio.wait([self._task])

    def write(self, frames: list[Frame], wire: bytes) -> None:
        if not self._cut:
            self._put([({"type": "websocket.send", "text": frame.text}, len(frame.wire)) for frame in frames])

    def _put(self, messages: list[tuple[dict[str, Any], int]]) -> None:
        if self._closed:
            return
        self._queue.extend(messages)
        self.backlog += sum(size for _, size in messages)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def offer(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        if self.backlog and self.backlog + len(wire) > limit:
            return False
        self.write(frames, wire)
        return True

    def cut(self) -> None:
        self._end()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._queue:
                message, size = self._queue.popleft()
                await self._send(message)
                self.backlog -= size
        except Exception as error:  # noqa: BLE001  # servers raise their own; whichever it is, the socket has gone
            logger.debug("a socket could not be sent to: %s", error)
            self._end()
        finally:
            self._task = None

    def _end(self) -> None:
        self._cut = True
        self._queue.clear()
        self.backlog = 0
