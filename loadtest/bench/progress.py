"""Says what runs, what came out of it, and how long the rest takes; learns that from the rounds before."""

from __future__ import annotations

import time
from collections.abc import Sequence

from loadtest.bench.plan import Step

# Seconds of a step that has not run yet: a server's start, its clients and two modes of fan-out, roughly.
GUESS_SECONDS = 15.0
# What is slower by its nature.
SLOW = {"daphne-core": 4.0, "daphne-pubsub": 3.0, "uvicorn-pubsub": 2.0}
LONG = {
    ("storm", "daphne-pubsub"): 2.0,
    ("storm", "daphne-patient"): 8.0,
    ("stall", "daphne-pubsub"): 4.0,
    ("stall", "ws"): 3.0,
}


class Progress:
    """One line a step, on standard output."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        self._seconds: dict[tuple[str, str, int, str], float] = {}
        self._began = time.monotonic()

    def before(self, number: int) -> None:
        """Step `number`, from 0, begins."""
        step = self._steps[number]
        left = sum(self._expected(later) for later in self._steps[number:])
        print(
            f"[{number + 1}/{len(self._steps)}] round {step.round}: {step} ... (about {minutes(left)} left)", flush=True
        )
        self._began = time.monotonic()

    def after(self, number: int, said: str) -> None:
        """Step `number` has ended, with so much to tell."""
        self._seconds[self._steps[number].key] = time.monotonic() - self._began
        print(f"    {said}", flush=True)

    def _expected(self, step: Step) -> float:
        if step.key in self._seconds:
            return self._seconds[step.key]
        factor = LONG.get((step.measure, step.server)) or SLOW.get(step.server, 1.0)
        return GUESS_SECONDS * factor


def minutes(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
