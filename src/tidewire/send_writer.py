"""A writer over plain ASGI `send`, for a server that offers no writer of its own."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tidewire.frames import Frame


class SendWriter:
    """Sends in order from a task that lives only while something waits."""

    __slots__ = ("_queue", "_send", "_task", "backlog")

    def __init__(self, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._queue: deque[Frame] = deque()
        self._task: asyncio.Task[None] | None = None
        self.backlog = 0

    def write(self, frames: list[Frame], wire: bytes) -> None:
        self._queue.extend(frames)
        self.backlog += len(wire)
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    def offer(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        if self.backlog > limit:
            return False
        self.write(frames, wire)
        return True

    def cut(self) -> None:
        self._queue.clear()
        self.backlog = 0
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._queue:
                frame = self._queue.popleft()
                await self._send({"type": "websocket.send", "text": frame.text})
                self.backlog -= len(frame.wire)
        except OSError:
            # The client has gone; the server tells the consumer.
            self._queue.clear()
            self.backlog = 0
        finally:
            self._task = None
