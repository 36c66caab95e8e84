"""Faults of ws processes under load: killed, drained, drained in a hurry, all restarted one after another."""

import os
import signal
import time

import pytest

from tests.faults.ledger import unevenness
from tests.faults.scene import people
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.drain import CLOSING_PART

LEASE_SECONDS = Settings.LEASE_SECONDS
# Beyond the lease: a sweep comes once a second.
SWEEP_SECONDS = 1.0
# What the server allows itself beyond the drain time (`tidewire.server`, whose import starts a reactor).
LATE_SECONDS = 5


@pytest.mark.smoke
def test_kill(start_stack, scene, size):
    """`kill -9` of one of three: its sockets resume elsewhere; who does not return leaves once, within the lease."""
    stack = start_stack(ws=3)
    pages = people(stack, size(500, 30), returns=lambda i: i % 5 != 0)
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


def drained(run, seconds, *, most_connects=None):
    """What every drain aims at."""
    lost = run.row.codes.get("1006", 0)
    run.target(
        "0 closes with 1006", lost == 0, f"{lost}, {run.row.codes.get(str(int(CloseCode.DRAINING)), 0):,} with 4000"
    )
    if most_connects:
        run.target(
            f"peak connects per second at most 2 x sockets / drain time ({most_connects:.0f})",
            run.row.peak_connects <= most_connects,
            run.row.peak_connects,
        )
    run.nothing_lost()
    run.presence()
    run.counts()


@pytest.mark.smoke
def test_sigterm(start_stack, scene, size):
    """SIGTERM to a node that has all sockets: they are let go evenly and are all back on other nodes."""
    seconds = size(15, 4)
    stack = start_stack(ws=3, TIDEWIRE_WS_DRAIN_SECONDS=str(seconds))
    for i in (1, 2):
        stack.stop_ws(i)
    pages = people(stack, size(667, 30))
    with scene(stack, "SIGTERM to a ws process with all sockets", pages=pages, per_second=20, order=20) as run:
        for i in (1, 2):
            stack.start_ws(i)
        run.calm()
        run.begin("ws-0 is told to end")
        code = stack.stop_ws(0)
        took = time.time() - run.began
        run.back()
        run.settle()
        drained(run, seconds, most_connects=2 * len(pages) / seconds)
        closes = [at for diary in run.diaries for at, _code in diary.closes if at >= run.began]
        gap = unevenness(closes, run.began, seconds * CLOSING_PART)
        run.target("closes evenly over the drain time (greatest gap of shares below 0.1)", gap < 0.1, f"{gap:.3f}")
        run.target("each socket closed once", len(closes) == len(pages), f"{len(closes):,} of {len(pages):,}")
        run.target(
            f"exit 0 within {seconds + LATE_SECONDS} s",
            code == 0 and took <= seconds + LATE_SECONDS,
            f"{code}, {took:.1f} s",
        )
        run.verdict()


def test_second_sigterm(start_stack, scene, size):
    """A second SIGTERM cuts the drain short; nobody loses anything by it."""
    seconds = 15
    stack = start_stack(ws=3, TIDEWIRE_WS_DRAIN_SECONDS=str(seconds))
    pages = people(stack, size(200, 30))
    with scene(stack, "A second SIGTERM two seconds into a drain", pages=pages, per_second=20, order=25) as run:
        run.begin("ws-0 is told to end")
        os.kill(stack.ws[0].pid, signal.SIGTERM)
        run.until(2.0)
        again = time.time()
        code = stack.stop_ws(0)
        took = time.time() - again
        run.back()
        run.settle()
        drained(run, seconds)
        run.target("exit 0 within 4 s of the second signal", code == 0 and took <= 4.0, f"{code}, {took:.1f} s")
        run.verdict()


def test_rolling_restart(start_stack, scene, size):
    """All ws processes are restarted one after another: nobody notices but by a new socket."""
    seconds = size(15, 4)
    stack = start_stack(ws=3, TIDEWIRE_WS_DRAIN_SECONDS=str(seconds))
    pages = people(stack, size(500, 30))
    with scene(stack, "Rolling restart of all ws processes", pages=pages, per_second=size(50, 20), order=30) as run:
        run.begin("ws-0 is restarted first")
        codes = []
        for i in range(3):
            codes.append(stack.stop_ws(i))
            stack.start_ws(i)
            run.tell(f"ws-{i} is back")
        run.back()
        run.settle()
        drained(run, seconds, most_connects=2 * len(pages) / seconds)
        run.target("exit 0 of each", codes == [0, 0, 0], codes)
        run.verdict()
