"""A clock that a test moves: timers of the event loop, leases and deadlines expire without waiting."""

import asyncio
from typing import Final

# The loop runs in between, so that a lease which is renewed each second does not expire during a longer move.
STEP_SECONDS: Final = 0.1
# Turns of the loop in each step, enough for tasks that pass work to each other. They make no I/O.
TURNS: Final = 10


class MovableClock:
    """The clock of the running event loop, which also goes on by itself.

    `restore` puts the loop's own clock back.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._own = self._loop.time
        self._moved = 0.0
        try:
            self._loop.time = self.time  # type: ignore[method-assign]  # the purpose of this class
        except AttributeError:
            raise RuntimeError(
                f"the clock of {type(self._loop).__module__} cannot be moved: run tests on asyncio's own event loop"
            ) from None

    def time(self) -> float:
        """Return the time in seconds, as `loop.time` does."""
        return self._own() + self._moved

    async def move(self, seconds: float) -> None:
        """Move the clock on, and let everything happen that is due by then."""
        end = self._moved + seconds
        while self._moved < end:
            self._moved = min(self._moved + STEP_SECONDS, end)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def restore(self) -> None:
        """Let the loop have its own clock again."""
        self._loop.time = self._own  # type: ignore[method-assign]  # as above
