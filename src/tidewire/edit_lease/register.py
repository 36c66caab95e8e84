"""What this node tells of its own editors: that they came, that they are still there, that they closed the page.

A socket that is open counts as somebody who is there: the server's pings end one whose client has gone to sleep.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from tidewire import metrics
from tidewire.edit_lease import EditLeases, Editor, Move, Moved, Step
from tidewire.exceptions import NoRedis

logger = logging.getLogger(__name__)

# One pipeline carries so many, so that thousands of editors block neither Redis nor the loop.
MOVES_AT_ONCE = 500


class LeaseRegister:
    """The editors of this node, whose leases it touches for as long as their sockets are open."""

    def __init__(
        self, leases: EditLeases, *, touch_seconds: float, announce: Callable[[set[str]], Awaitable[None]]
    ) -> None:
        self._leases = leases
        self._touch_seconds = touch_seconds
        self._announce = announce
        self._sockets: Counter[Editor] = Counter()
        # Who held the lease when last heard, and who has just come: they may take what nobody has.
        self._first: set[Editor] = set()
        self._due: dict[Editor, Step] = {}
        self._wake = asyncio.Event()

    def join(self, editor: Editor) -> None:
        """One more socket of an editor here."""
        self._sockets[editor] += 1
        self._first.add(editor)
        self._soon(editor, "take")

    def leave(self, editor: Editor, *, returns: bool) -> None:
        """One socket less here. Whoever is expected to return keeps the lease until it ends."""
        self._sockets[editor] -= 1
        if self._sockets[editor] > 0:
            return
        del self._sockets[editor]
        self._first.discard(editor)
        if returns:
            self._due.pop(editor, None)
        else:
            self._soon(editor, "leave")

    async def say(self, step: Step, editor: Editor, asker: str = "") -> None:
        """Make an editor's own move. Raises `NoRedis`."""
        await self._move([Move(step, editor, asker)])

    async def run(self) -> None:
        """Tell the store, for as long as the process lives; `NoRedis` only delays."""
        next_touch = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= next_touch:
                    next_touch = loop.time() + self._touch_seconds
                    self._mark_all()
                await self._tell()
            except NoRedis as error:
                logger.warning("edit leases wait for Redis: %s", error)
                # The next round takes and touches for all who are here. Who has left is not told of: their lease ends.
                await asyncio.sleep(self._touch_seconds)
            await self._wait(next_touch - loop.time())

    def _soon(self, editor: Editor, step: Step) -> None:
        self._due[editor] = step
        self._wake.set()

    def _mark_all(self) -> None:
        for editor in self._sockets:
            self._due.setdefault(editor, "take" if editor in self._first else "touch")

    async def _tell(self) -> None:
        while self._due:
            batch = [Move(step, editor) for editor, step in islice(self._due.items(), MOVES_AT_ONCE)]
            for move in batch:
                del self._due[move.editor]
            moved = await self._move(batch)
            for move, became in zip(batch, moved, strict=True):
                if became.holds and move.editor in self._sockets:
                    self._first.add(move.editor)
                else:
                    self._first.discard(move.editor)

    async def _move(self, moves: Sequence[Move]) -> list[Moved]:
        moved = await self._leases.move(moves)
        changes = [move for move, became in zip(moves, moved, strict=True) if became.changed]
        for move in changes:
            metrics.EDIT_LEASE_CHANGES.labels(move.step).inc()
        if changes:
            await self._announce({move.editor.topic for move in changes})
        return moved

    async def _wait(self, seconds: float) -> None:
        try:
            # Not `wait_for`: until Python 3.12 it forgets a cancellation that comes together with what it waits for.
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
