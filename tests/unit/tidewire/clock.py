"""An event loop whose clock jumps to the next timer when the loop has nothing to do."""

import asyncio
import selectors
from typing import Any

# Each iteration advances the clock a little, because a timer below the clock's resolution would never expire.
TURN_SECONDS = 1e-7


class _Jumping(selectors.DefaultSelector):
    """A selector that never waits. Instead it advances the loop's clock by the timeout."""

    loop: "JumpingLoop"

    def select(self, timeout: float | None = None) -> Any:
        self.loop.now += TURN_SECONDS
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is left that could ever happen: the test waits for ever")
        self.loop.now += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """For tests without I/O: waiting takes no real time, and the order of events does not depend on the machine."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now
