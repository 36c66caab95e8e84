"""The alerts that fired on a watched stack, in order, while one part after another was broken."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.monitoring.watched import Watched

# An alert needs its window, a scrape, an evaluation and its `for`; a busy machine needs more time.
FIRES_SECONDS = 45.0


class Story:
    """`fired` maps each alert to its summary; `note` is called with each at once."""

    def __init__(self, eyes: Watched, note: Callable[[str], None]) -> None:
        self.eyes = eyes
        self.stack = eyes.stack
        self.note = note
        self._began = time.monotonic()
        self.fired: dict[str, str] = {}

    @property
    def seconds(self) -> float:
        """The seconds since the start."""
        return time.monotonic() - self._began

    def sample(self) -> None:
        for name, summary in self.eyes.firing().items():
            if name not in self.fired:
                self.fired[name] = summary
                self.note(f"{self.seconds:5.0f} s    {name}: {summary}")

    def until(self, *names: str, seconds: float = FIRES_SECONDS, do: Callable[[], object] = lambda: None) -> None:
        """Call `do` repeatedly until these alerts have fired, or the time is over; the test then checks `fired`."""

        def have() -> bool:
            do()
            self.sample()
            return set(names) <= set(self.fired)

        self.eyes.wait(have, seconds=seconds)
