"""What an open socket says, handed to its consumer without a waiting coroutine.

An ASGI application waits in `receive` for as long as its socket lives: a task, a queue and a
coroutine per layer of middleware, 6 KB for each idle connection. Here a task lives only while there is a message.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.exceptions import StopConsumer

logger = logging.getLogger(__name__)

Message = dict[str, Any]


class Inbox:
    """Stands where Daphne expects the application's queue. Messages are handled in order, one at a time."""

    __slots__ = ("_fail", "_handle", "_task", "_waiting")

    def __init__(self, handle: Callable[[Message], Awaitable[None]], fail: Callable[[BaseException], None]) -> None:
        self._handle = handle
        self._fail = fail
        self._waiting: list[Message] | None = None
        self._task: asyncio.Task[None] | None = None

    def put_nowait(self, message: Message) -> None:
        """Take a message; it is handled soon."""
        if self._waiting is not None:
            self._waiting.append(message)
            return
        self._waiting = [message]
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while self._waiting:
                message = self._waiting.pop(0)
                try:
                    await self._handle(message)
                except StopConsumer:
                    return
                except Exception as error:
                    # What waits behind it may be the disconnect, without which the socket would never be left.
                    logger.exception("a consumer failed; its socket is closed")
                    self._fail(error)
        finally:
            self._task = self._waiting = None
