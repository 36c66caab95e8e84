"""Messages of an open socket, passed to its consumer without a waiting coroutine.

An ASGI application normally waits in `receive` while its socket is open: a task, a queue and a coroutine per layer of
middleware, 6 KB for each idle connection. Here a task exists only while there is a message to handle.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.exceptions import StopConsumer

from tidewire.fanout.connection import attempt

logger = logging.getLogger(__name__)

Message = dict[str, Any]

# Three seconds of the frames that a client may send. More can accumulate only if a handler hangs.
MAX_WAITING_MESSAGES = 100
# Timeout of a handler that is running when the socket closes, and then of the consumer's own `disconnect`.
DISCONNECT_TIMEOUT_SECONDS = 10.0


class Inbox:
    """The queue in which a server puts an application's messages. They are handled in order, one at a time.

    `fail` is called with the exception of a handler, or with None if the handler raised `StopConsumer`. `flood` is
    called if too many messages are queued.
    """

    __slots__ = ("_ended", "_fail", "_flood", "_handle", "_task", "_timeout", "_waiting")

    def __init__(
        self,
        handle: Callable[[Message], Awaitable[None]],
        fail: Callable[[BaseException | None], None],
        flood: Callable[[], None],
    ) -> None:
        self._handle = handle
        self._fail = fail
        self._flood = flood
        self._waiting: list[Message] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timeout: asyncio.Timeout | None = None
        self._ended = False

    def put_nowait(self, message: Message) -> None:
        """Queue a message, to be handled soon. Messages after the disconnect are dropped."""
        if self._ended:
            return
        if message["type"] == "websocket.disconnect":
            self._ended = True
            if self._timeout is not None:
                self._timeout.reschedule(asyncio.get_running_loop().time() + DISCONNECT_TIMEOUT_SECONDS)
        elif self._waiting is not None and len(self._waiting) >= MAX_WAITING_MESSAGES:
            self._flood()
            return
        if self._waiting is not None:
            self._waiting.append(message)
            return
        self._waiting = [message]
        self._task = asyncio.ensure_future(self._run())

    async def finished(self) -> None:
        """Wait until every message has been handled."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def close(self) -> None:
        """Drop the queue, and cancel the running handler."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.pop(0)
                try:
                    async with asyncio.timeout(DISCONNECT_TIMEOUT_SECONDS if self._ended else None) as self._timeout:
                        await self._handle(message)
                except StopConsumer:
                    if message["type"] != "websocket.disconnect":
                        self._ended = True
                        attempt(self._fail, None)
                    return
                except Exception as error:
                    # The disconnect may be queued behind this message.
                    if self._timeout is not None and self._timeout.expired():
                        logger.warning(
                            "a consumer was still busy %s s after its socket closed", DISCONNECT_TIMEOUT_SECONDS
                        )
                        continue
                    logger.exception("a consumer failed; its socket is closed")
                    attempt(self._fail, error)
        finally:
            self._task = self._waiting = self._timeout = None
