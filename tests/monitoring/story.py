"""What fired on a watched stack, in order, while one thing after another was broken."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.monitoring.watched import Watched

# An alert waits for its window, a scrape, an evaluation and its `for`; a loaded machine for more.
FIRES_SECONDS = 45.0


class Story:
    """`fired` is alert -> what it said; `tell` hears of each at once."""

    def __init__(self, eyes: Watched, tell: Callable[[str], None]) -> None:
        self.eyes = eyes
        self.stack = eyes.stack
        self.tell = tell
        self._began = time.monotonic()
        self.fired: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def look(self) -> None:
        for name, summary in self.eyes.firing().items():
            if name not in self.fired:
                self.fired[name] = summary
                self.tell(f"{self.seconds:5.0f} s    {name}: {summary}")

    def until(self, *names: str, seconds: float = FIRES_SECONDS, do: Callable[[], object] = lambda: None) -> None:
        """Goes on, doing something or nothing, until these have fired; which have not, in time, is known at the end."""

        def have() -> bool:
            do()
            self.look()
            return set(names) <= set(self.fired)

        self.eyes.wait(have, seconds=seconds)
