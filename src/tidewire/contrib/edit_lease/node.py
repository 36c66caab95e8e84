"""This node's editors, and the messages about them to the store: joined, still there, closed the page.

An open socket counts as a present editor, because the server's pings close the socket of a suspended client.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from tidewire import metrics
from tidewire.contrib.edit_lease import EditLeases, Editor, Move, Moved, Step
from tidewire.exceptions import RedisUnavailable

logger = logging.getLogger(__name__)

# Number of moves per pipeline, so that thousands of editors block neither Redis nor the event loop.
MOVES_AT_ONCE = 500


class NodeEditLeases:
    """The editors of this node. Their leases are renewed while their sockets are open."""

    def __init__(
        self, leases: EditLeases, *, touch_seconds: float, announce: Callable[[set[str]], Awaitable[None]]
    ) -> None:
        self._leases = leases
        self._touch_seconds = touch_seconds
        self._announce = announce
        self._sockets: Counter[Editor] = Counter()
        # Editors that held the lease at the last reply or have just joined: they may take a free lease.
        self._first: set[Editor] = set()
        self._due: dict[Editor, Step] = {}
        self._wake = asyncio.Event()

    def join(self, editor: Editor) -> None:
        """Add a socket of an editor."""
        self._sockets[editor] += 1
        self._first.add(editor)
        self._enqueue(editor, "take")

    def leave(self, editor: Editor, *, reconnects: bool) -> None:
        """Remove a socket of an editor. An editor that is expected to return keeps the lease until it expires."""
        self._sockets[editor] -= 1
        if self._sockets[editor] > 0:
            return
        del self._sockets[editor]
        self._first.discard(editor)
        if reconnects:
            self._due.pop(editor, None)
        else:
            self._enqueue(editor, "leave")

    async def move(self, step: Step, editor: Editor, asker: str = "") -> None:
        """Apply an editor's own move. Raises `RedisUnavailable`."""
        await self._move([Move(step, editor, asker)])

    async def run(self) -> None:
        """Update the store for as long as the process runs; `RedisUnavailable` only causes a delay."""
        next_touch = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= next_touch:
                    next_touch = loop.time() + self._touch_seconds
                    self._enqueue_all()
                await self._send_due()
            except RedisUnavailable as error:
                logger.warning("edit leases wait for Redis: %s", error)
                # The next round sends take and touch for all editors that remain. The leases of those that left expire.
                await asyncio.sleep(self._touch_seconds)
            await self._wait(next_touch - loop.time())

    def _enqueue(self, editor: Editor, step: Step) -> None:
        self._due[editor] = step
        self._wake.set()

    def _enqueue_all(self) -> None:
        for editor in self._sockets:
            self._due.setdefault(editor, "take" if editor in self._first else "touch")

    async def _send_due(self) -> None:
        while self._due:
            batch = [Move(step, editor) for editor, step in islice(self._due.items(), MOVES_AT_ONCE)]
            for move in batch:
                del self._due[move.editor]
            moved = await self._move(batch)
            for move, result in zip(batch, moved, strict=True):
                if result.is_holder and move.editor in self._sockets:
                    self._first.add(move.editor)
                else:
                    self._first.discard(move.editor)

    async def _move(self, moves: Sequence[Move]) -> list[Moved]:
        moved = await self._leases.move(moves)
        changes = [move for move, result in zip(moves, moved, strict=True) if result.changed]
        for move in changes:
            metrics.EDIT_LEASE_CHANGES.labels(move.step).inc()
        if changes:
            await self._announce({move.editor.topic for move in changes})
        return moved

    async def _wait(self, seconds: float) -> None:
        try:
            # `wait_for` is not used: before Python 3.12 it can lose a cancellation that coincides with the result.
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
