"""An event loop whose clock jumps to the next timer as soon as nothing else is to be done."""

import asyncio
import selectors
from typing import Any

# A turn of the loop takes a little time too: what waits for less than the clock's resolution would wait for ever.
TURN_SECONDS = 1e-7


class _Jumping(selectors.DefaultSelector):
    """Never waits: what it is asked to wait for has passed on the loop's clock."""

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
    """For tests without I/O: waiting costs nothing, and the order of events does not depend on the machine."""

    def __init__(self) -> None:
        selector = _Jumping()
        selector.loop = self
        self.now = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now
