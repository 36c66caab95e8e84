"""The planted fault of a starved generator, which keeps its core from all other work."""

from __future__ import annotations

import time

import gevent

from loadtest.run.run_state import Run

# Length of each busy loop.
BUSY_SECONDS = 0.4


def starve(run: Run) -> None:
    while run.is_working:
        until = time.perf_counter() + BUSY_SECONDS
        while time.perf_counter() < until:
            pass
        gevent.sleep(0.01)
