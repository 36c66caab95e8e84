"""Prints the current step, its result, and the remaining time, estimated from earlier rounds."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from bench.plan import Step

# Rough duration of a step that has not run yet: the start of a server, its clients and two modes of fan-out.
GUESS_SECONDS = 15.0
# Factors of servers that are slow by nature.
SLOW = {"daphne-core": 4.0, "daphne-pubsub": 3.0, "uvicorn-pubsub": 2.0}
LONG = {
    ("storm", "daphne-pubsub"): 2.0,
    ("storm", "daphne-patient"): 8.0,
    ("stall", "daphne-pubsub"): 4.0,
    ("stall", "ws"): 3.0,
}


class Progress:
    """A line for each step, on standard output."""

    def __init__(self, steps: Sequence[Step], *, most_seconds: float = math.inf) -> None:
        self._steps = steps
        self._until = time.monotonic() + most_seconds
        self._seconds: dict[tuple[str, str, int, str], float] = {}
        self._began = time.monotonic()

    def left_out(self, number: int) -> bool:
        """Print and return whether step `number` is left out, because it would end too late. A first round never is."""
        step = self._steps[number]
        if step.round == 1 or time.monotonic() + self._expected(step) <= self._until:
            return False
        print(f"[{number + 1}/{len(self._steps)}] round {step.round}: {step} is left out: no time is left", flush=True)
        return True

    def before(self, number: int) -> None:
        """Step `number`, from 0, begins."""
        step = self._steps[number]
        left = sum(self._expected(later) for later in self._steps[number:])
        print(
            f"[{number + 1}/{len(self._steps)}] round {step.round}: {step} ... (about {minutes(left)} left)", flush=True
        )
        self._began = time.monotonic()

    def after(self, number: int, result: str) -> None:
        """Step `number` has ended with this result."""
        self._seconds[self._steps[number].key] = time.monotonic() - self._began
        print(f"    {result}", flush=True)

    def _expected(self, step: Step) -> float:
        if step.key in self._seconds:
            return self._seconds[step.key]
        factor = LONG.get((step.measure, step.server)) or SLOW.get(step.server, 1.0)
        return GUESS_SECONDS * factor


def minutes(seconds: float) -> str:
    """Return a time for people to read: `40 s`, `12 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
