"""The messages that wait for one consumer."""

import asyncio
from collections import deque
from typing import Any


class Mailbox:
    """A bounded queue of serialized messages. A full one drops new messages and notes the gap.

    A message is kept as bytes, which all mailboxes share; each receiver gets a copy of its own.

    Args:
        capacity: Largest number of waiting messages.
        gap: A serialized message that stands for the dropped ones, or None.
        owner: The task that made the channel, if it is known.

    """

    __slots__ = ("_capacity", "_gap", "_has_gap", "_messages", "_waiters", "forgetting", "groups", "owner", "receivers")

    def __init__(self, capacity: int, gap: bytes | None, owner: asyncio.Task[Any] | None = None) -> None:
        self._capacity = capacity
        self._gap = gap
        self._has_gap = False
        self._messages: deque[bytes] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self.groups: set[str] = set()
        self.owner = owner
        # Number of pending calls of `receive`, and the timer that runs after the last one was given up.
        self.receivers = 0
        self.forgetting: asyncio.TimerHandle | None = None

    def put(self, message: bytes) -> bool:
        """Add a message. Return False if it was dropped."""
        if len(self._messages) >= self._capacity:
            self.note_gap()
            return False
        self._messages.append(message)
        self._wake_one()
        return True

    def note_gap(self) -> None:
        """Add the message that stands for lost ones, unless it is the last one already. It is never dropped."""
        if self._gap is None or self._has_gap:
            return
        self._has_gap = True
        self._messages.append(self._gap)
        self._wake_one()

    async def get(self) -> bytes:
        """Remove and return the oldest message; wait for one if there is none."""
        while not self._messages:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                # The waiter may have been woken and cancelled in one step: the next one gets the message.
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._messages:
                    self._wake_one()
                raise
        message = self._messages.popleft()
        if message is self._gap:
            self._has_gap = False
        return message

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
