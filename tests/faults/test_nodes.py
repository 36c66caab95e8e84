"""Faults of ws processes under load: killed, drained, drained early, all restarted one after another."""

import asyncio
import os
import signal
import time

import pytest

from tests.faults.account import unevenness
from tests.faults.presence_watcher import USERS
from tests.faults.scene import USERS_PATH, people
from tests.http_client import fetch, metric
from tests.sockets import event, open_socket
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.server.drain import CLOSING_PART

LEASE_SECONDS = Settings.LEASE_SECONDS
# Sweeps run once a second, after the lease.
SWEEP_SECONDS = 1.0
# Time that the server may take beyond the drain time (`tidewire.server.daphne`, whose import starts a reactor).
DRAIN_MARGIN_SECONDS = 5
# The watchdog kills a stopped node after 18 s, which ends its sockets; a page then reconnects.
NOTICED_SECONDS = 25.0


@pytest.mark.smoke
def test_kill(start_stack, scene, size):
    """`kill -9` of one of three: sockets resume elsewhere, and users without a socket leave once, within the lease."""
    stack = start_stack(ws=3)
    pages = people(stack, size(500, 30), returns=lambda i: i % 5 != 0)
    with scene(stack, "kill -9 of one of three ws processes", pages=pages, per_second=size(50, 20), order=10) as run:
        run.begin("ws-0 is killed")
        stack.stop_ws(0, signal.SIGKILL)
        run.back()
        run.until(LEASE_SECONDS + 2 * SWEEP_SECONDS)
        run.catch_up()
        gone = [each.user for each in run.diaries if each.path == "/ws/users/" and each.ended]
        run.nothing_lost()
        run.presence(leave=gone)
        run.target(
            f"every ghost gone within lease + 1 s ({LEASE_SECONDS + SWEEP_SECONDS:.0f} s)",
            run.row.ghost_seconds is not None and run.row.ghost_seconds <= LEASE_SECONDS + SWEEP_SECONDS,
            f"{run.row.ghost_seconds or 0:.1f} s, {len(gone)} members",
        )
        run.verdict()


async def _arrive(stack, cookie, count):
    """Return, for each of `count` new sockets in turn, the seconds until its first event."""
    took = []
    for _ in range(count):
        began = time.monotonic()
        async with open_socket(stack, USERS_PATH, cookie, open_timeout=90) as socket:
            await event(socket, "users.count", timeout_seconds=90)
        took.append(time.monotonic() - began)
    return took


def _open_on(node):
    return metric(fetch(f"http://127.0.0.1:{node.admin_port}/metrics").text, "tidewire_connections")


def test_frozen(start_stack, scene, size):
    """If one of two nodes hangs (SIGSTOP): new sockets go to the other at once. It is killed, and started again."""
    stack = start_stack(ws=2)
    pages = people(stack, size(300, 20))
    [newcomer] = stack.sessions("newcomer").values()
    frozen = stack.ws[0]
    with scene(stack, "Frozen ws process, one of two", pages=pages, per_second=size(20, 10), order=12) as run:
        on_it = int(_open_on(frozen))
        run.begin("ws-0 stands still")
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            took = asyncio.run(_arrive(stack, newcomer, 10))
            run.until(NOTICED_SECONDS)
            code = frozen.process.wait(NOTICED_SECONDS)
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        run.target("the watchdog has killed it", code == -signal.SIGKILL, code)
        # As a supervisor does.
        stack.start_ws(0)
        run.tell("ws-0 is started again")
        run.back()
        # Time for all members of the lease that ended to leave.
        run.until(NOTICED_SECONDS + LEASE_SECONDS + 2 * SWEEP_SECONDS)
        run.catch_up()
        worst = max(took)
        run.target("each new socket is live within 10 s", worst <= 10, f"{worst:.1f} s at first, then {took[-1]:.1f} s")
        closes = [at - run.began for diary in run.diaries for at, _code in diary.closes if at >= run.began]
        run.target("each of its sockets noticed", len(closes) == on_it, f"{len(closes):,} of {on_it:,}")
        run.target(
            f"and is back within {NOTICED_SECONDS:.0f} s",
            run.row.healed_seconds is not None and run.row.healed_seconds <= NOTICED_SECONDS,
            f"{run.row.healed_seconds or 0:.1f} s",
        )
        run.nothing_lost()
        # Its members leave when its lease ends, and join again after their sockets have reconnected.
        everybody = {page.user for page in pages}
        run.presence(may=everybody | {"newcomer"})
        here = set(run.watcher.members[USERS])
        run.target("all users are shown again, and no others", here == everybody, f"{len(here)} of {len(everybody)}")
        still = sum(int(_open_on(node)) for node in stack.ws)
        run.target("no node counts a closed socket", still == len(pages), f"{still:,} of {len(pages):,}")
        run.verdict()


def drained(run, seconds, *, most_connects=None):
    """State the targets of every drain."""
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
@pytest.mark.alone
def test_sigterm(start_stack, scene, size):
    """After SIGTERM to a node with all sockets, they close at an even pace and reconnect to other nodes."""
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
        run.catch_up()
        drained(run, seconds, most_connects=2 * len(pages) / seconds)
        closes = [at for diary in run.diaries for at, _code in diary.closes if at >= run.began]
        gap = unevenness(closes, run.began, seconds * CLOSING_PART)
        run.target("closes evenly over the drain time (greatest gap of shares below 0.1)", gap < 0.1, f"{gap:.3f}")
        run.target("each socket closed once", len(closes) == len(pages), f"{len(closes):,} of {len(pages):,}")
        run.target(
            f"exit 0 within {seconds + DRAIN_MARGIN_SECONDS} s",
            code == 0 and took <= seconds + DRAIN_MARGIN_SECONDS,
            f"{code}, {took:.1f} s",
        )
        run.verdict()


def test_second_sigterm(start_stack, scene, size):
    """A second SIGTERM ends the drain early, without a loss."""
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
        run.catch_up()
        drained(run, seconds)
        run.target("exit 0 within 4 s of the second signal", code == 0 and took <= 4.0, f"{code}, {took:.1f} s")
        run.verdict()


def test_rolling_restart(start_stack, scene, size):
    """All ws processes are restarted one after another: users notice only a new socket."""
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
        run.catch_up()
        drained(run, seconds, most_connects=2 * len(pages) / seconds)
        run.target("exit 0 of each", codes == [0, 0, 0], codes)
        run.verdict()
