"""Common parts of the faults of data: a user leaves during the fault, and soon after it all pages must be right."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from tests.faults.crowd import CrowdError, codes
from tests.faults.event_source import committed
from tests.faults.scene import Scene
from tests.http_client import fetch
from tests.stack import Stack
from tidewire.conf import Settings

LEASE_SECONDS = Settings.LEASE_SECONDS
HEAL_SECONDS = LEASE_SECONDS + 2.0
# The publisher of events is a process that must start first.
FLOW_SECONDS = 60.0
# This user leaves during the fault, so that an unchanged count would be wrong.
LEAVER = "person-0"


def start(run: Scene, words: str) -> float:
    """Begin the fault after every page has shown an event; before that, a fault could have no effect."""
    run.crowd.wait(lambda status: not status["behind"], FLOW_SECONDS, shown=1)
    return run.begin(words)


def judge(run: Scene, *, people: int, ended: float, gone: Sequence[str] = (LEAVER,), saves: bool = True) -> None:
    """Wait until all pages are right again, and state the targets. `people` includes those in `gone`, which have left.

    `ended`: the time of the fault's end, in seconds since 1970; `saves`: whether saves should succeed during the fault.
    """
    right_count = people - len(gone)
    with contextlib.suppress(CrowdError):
        run.crowd.wait(lambda status: not status["miscounted"], HEAL_SECONDS + 5.0, count=right_count)
    run.calm()
    run.catch_up()
    account = run.row.account
    if not (account.lost or account.duplicated or account.reordered):
        # Events that a page missed and then read from the database must not be listed as losses.
        account.examples.clear()
    run.nothing_lost()
    lasted = [at for _, at in committed(run.stack) if run.began <= at <= ended]
    # If the machine was too busy to save during the fault, the run proves nothing.
    if saves:
        run.target("events were committed while it lasted", len(lasted) > 1, f"{len(lasted)}")
    row, stayed = run.row, [diary for diary in run.diaries if diary.user not in gone]
    row.codes = {str(code): count for code, count in sorted(codes(stayed, run.began).items())}
    run.target("0 sockets closed by it", not row.codes, f"{sum(row.codes.values())} closed")
    counts = [diary.counts for diary in stayed if diary.counts]
    right = [each[-1][1] == right_count for each in counts]
    last = max(each[-1][0] for each in counts)
    row.healed_seconds = max(last - ended, 0.0)
    run.target(
        f"the right count within lease + 2 s ({HEAL_SECONDS:.0f} s) of its end",
        all(right) and row.healed_seconds <= HEAL_SECONDS,
        f"{sum(right)} of {len(counts)} pages right after {row.healed_seconds:.1f} s",
    )
    stale = [diary for diary in stayed if any(is_stale and at >= run.began for at, is_stale in diary.stale)]
    still = [diary for diary in stale if diary.stale[-1][1]]
    run.target(
        "no page is left stale", not still, f"{len(stale)} of {len(stayed)} were marked stale, {len(still)} still are"
    )
    lowest = min((count for each in counts for at, count in each if at >= run.began), default=0)
    run.remark(f"the lowest count that any page showed was {lowest} of {people}; {run.publisher.failed} saves failed")


def last_for(run: Scene, seconds: float) -> None:
    """Let the fault last for this long. LEAVER leaves half-way."""
    time.sleep(seconds / 2)
    run.crowd.ask("leave", user=LEAVER)
    time.sleep(seconds / 2)


def page(stack: Stack, run: Scene) -> int:
    """Return the status of the list of documents for a user that is logged in."""
    cookie = run.crowd.pages[-1].cookie
    return fetch(f"{stack.web_urls[0]}/", headers={"Cookie": cookie, "Host": "localhost"}).status
