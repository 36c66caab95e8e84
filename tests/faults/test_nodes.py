"""Faults of ws processes under load: killed, drained, drained in a hurry, all restarted one after another."""

import signal

import pytest

from tests.faults.scene import people
from tidewire.conf import Settings

LEASE_SECONDS = Settings.LEASE_SECONDS
# Beyond the lease: a sweep comes once a second.
SWEEP_SECONDS = 1.0


@pytest.mark.smoke
def test_kill(start_stack, scene, size):
    """`kill -9` of one of three: its sockets resume elsewhere; who does not return leaves once, within the lease."""
    stack = start_stack(ws=3)
    pages = people(stack, size(500, 60), returns=lambda i: i % 5 != 0)
    with scene(stack, "kill -9 of one of three ws processes", pages=pages, per_second=size(50, 20), order=10) as run:
        run.begin("ws-0 is killed")
        stack.stop_ws(0, signal.SIGKILL)
        run.back()
        run.until(LEASE_SECONDS + 2 * SWEEP_SECONDS)
        run.settle()
        gone = [each.user for each in run.diaries if each.path == "/ws/users/" and each.ended]
        run.nothing_lost()
        run.presence(leave=gone)
        run.target(
            f"every ghost gone within lease + 1 s ({LEASE_SECONDS + SWEEP_SECONDS:.0f} s)",
            run.row.ghost_seconds is not None and run.row.ghost_seconds <= LEASE_SECONDS + SWEEP_SECONDS,
            f"{run.row.ghost_seconds or 0:.1f} s, {len(gone)} members",
        )
        run.verdict()
