"""The clock of one node jumps under load: presence and history use Redis's clock, tickets that of web processes."""

import dataclasses
import time
from pathlib import Path

import pytest

from tests.faults.crowd import Crowd
from tests.faults.data import LEASE_SECONDS, LEAVER, judge, start
from tests.faults.scene import SOCKETS_PER_PERSON, people
from tests.http_client import fetch
from tests.stack import Stack
from tidewire.close_codes import CloseCode

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
# Longer than a ticket is valid.
MOVED_SECONDS = 1200
CLOSED_SECONDS = 1.0
LOGGED_OUT = [f"person-{i}" for i in range(1, 6)]


def log_out(stack: Stack, cookie: str) -> bool:
    """Submit the form of a page, which has the token."""
    page = fetch(f"{stack.url}/", headers={"Cookie": cookie})
    token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    cookies = [cookie, *(value.partition(";")[0] for value in page.headers.get_all("Set-Cookie", []))]
    headers = {"Cookie": "; ".join(cookies), "Referer": stack.url}
    return fetch(f"{stack.url}/logout/", fields={"csrfmiddlewaretoken": token}, headers=headers).status == 302


@pytest.mark.skipif(
    not LIBRARIES, reason="moving a process's clock takes libfaketime (Debian: apt-get install faketime)"
)
@pytest.mark.parametrize("direction", ["ahead", "back"])
def test_clock(stack_factory, scene, size, tmp_path, direction):
    """No socket closes, no member leaves, a logout closes its sockets at once, and new sockets are accepted."""
    moved = tmp_path / "clock"
    moved.write_text("+0\n")
    stack = stack_factory(ws=2)
    node = stack.ws[1]
    faketime = {
        "LD_PRELOAD": str(LIBRARIES[-1]),
        "FAKETIME_TIMESTAMP_FILE": str(moved),
        "FAKETIME_CACHE_DURATION": "1",
        # A machine's clock may jump, but the time since its start may not.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    node.definition = dataclasses.replace(node.definition, environment={**node.definition.environment, **faketime})
    with stack:
        count = size(100, 20)
        pages = people(stack, count)
        fault = f"clock of one of two nodes 20 min {direction}"
        with scene(stack, fault, pages=pages, per_second=10, order=70 + (direction == "back")) as run:
            start(run, f"the clock of ws-1 goes 20 minutes {direction}")
            moved.write_text(f"{'+' if direction == 'ahead' else '-'}{MOVED_SECONDS}\n")
            run.until(LEASE_SECONDS + 5.0)
            run.target("no member left", not run.watcher.left(run.began), f"{len(run.watcher.left(run.began))} did")
            # Sockets of new sessions, with an age by the clock of their node.
            newer = [page for page in people(stack, 10) if page.user != LEAVER]
            with Crowd(stack, newer) as late:
                late.connect()
                run.target("new sockets are let in", late.ask("status")["open"] == len(newer), f"{len(newer)}")
                cookies = {page.user: page.cookie for page in newer if page.user in LOGGED_OUT}
                logged_out_at = {user: time.time() for user in LOGGED_OUT if log_out(stack, cookies[user])}
                time.sleep(2 * CLOSED_SECONDS)
                out = [diary for diary in late.diaries() if diary.user in logged_out_at]
            run.crowd.ask("leave", user=LEAVER)
            judge(run, people=count, ended=time.time())
            closes = [(at - logged_out_at[diary.user], code) for diary in out for at, code in diary.closes]
            run.target(
                f"{len(out)} sockets of logged-out users closed within 1 s, for good",
                len(closes) == len(out) == SOCKETS_PER_PERSON * len(LOGGED_OUT)
                and all(code == CloseCode.REVOKED and after <= CLOSED_SECONDS for after, code in closes),
                f"{len(closes)} within {max(closes, default=(0, 0))[0]:.2f} s, codes {sorted({c for _, c in closes})}",
            )
            run.verdict()
