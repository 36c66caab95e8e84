"""A process that is stopped, killed or on a host with a wrong clock must not delay the events of the others."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from deploy.local.layout import ROOT
from tests.http_client import fetch
from tests.postgres import Postgres, why_not
from tests.stack import ONE_WORKER, PREPARE_SECONDS, Stack

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
# A process that starts on a busy machine needs many seconds. A failure would wait forever.
TIMEOUT_SECONDS = 60.0
ACT = """
import sys, django
django.setup()
from django.contrib.auth.models import User
from django.db import transaction
from dashboard import actions
user = User.objects.get(username="ada")
"""


@pytest.fixture(scope="module")
def stack(stack_factory) -> Iterator[Stack]:
    """A stack with PostgreSQL, in which transactions run concurrently."""
    if reason := why_not():
        pytest.skip(reason)
    with Postgres() as database:
        postgres_stack = stack_factory(ws=1, TIDEWIRE_DATABASE_URL=database.url, **ONE_WORKER)
        postgres_stack.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)
        with postgres_stack:
            yield postgres_stack


@contextlib.contextmanager
def process(stack: Stack, code: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process of the site that performs actions. It waits for a line of input if the code reads one."""
    worker = subprocess.Popen(
        [sys.executable, "-c", ACT + code],
        cwd=ROOT,
        env=stack.environment | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def read_output(acting: subprocess.Popen[str]) -> str:
    assert acting.stdout is not None
    return acting.stdout.readline().strip()


def go_on(acting: subprocess.Popen[str]) -> None:
    assert acting.stdin is not None
    acting.stdin.write("\n")
    acting.stdin.flush()


def published(stack: Stack, title: str) -> bool:
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        return any(title in fields["body"] for _, fields in client.xrange("tidewire:stream:notifications"))


def soon_published(stack: Stack, title: str) -> bool:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not published(stack, title):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_a_process_that_is_stopped_while_it_publishes_stops_nobody_else(stack):
    """A web process hung while Redis was slow: until its end, no user received a notification or was logged out."""
    with process(
        stack, "print('ready', flush=True); input()\nactions.create_document(user, title='Mine', body='')\ninput()"
    ) as first:
        assert read_output(first) == "ready"
        server = stack.processes["redis"].process
        server.send_signal(signal.SIGSTOP)
        go_on(first)
        # The process is now waiting for Redis, which does not reply.
        time.sleep(0.5)
        first.send_signal(signal.SIGSTOP)
        server.send_signal(signal.SIGCONT)
        with process(
            stack, "actions.create_document(user, title='Theirs', body=''); print('saved', flush=True); input()"
        ) as second:
            assert read_output(second) == "saved"
            assert soon_published(stack, "Theirs")
        assert soon_published(stack, "Mine")
        first.send_signal(signal.SIGCONT)


def test_a_save_that_hangs_stops_no_other_save_and_hides_nothing(stack):
    """A save hung before its commit, and all others hung too. If they did not, its notification counted as read."""
    bob = stack.sessions("bob")["bob"]
    mark_read(stack, bob, 10**9)
    hanging = """
with transaction.atomic():
    actions.create_document(user, title='Slow', body='')
    print('hangs', flush=True)
    input()
print('done', flush=True)
input()
"""
    with process(stack, hanging) as slow:
        assert read_output(slow) == "hangs"
        with process(
            stack, "actions.create_document(user, title='Quick', body=''); print('saved', flush=True); input()"
        ) as quick:
            watch = time.monotonic()
            while quick.poll() is None and not published(stack, "Quick"):
                assert time.monotonic() - watch < TIMEOUT_SECONDS, "the quick save waits for the slow one"
                time.sleep(0.05)
        assert unread(stack, bob)["unread"] == 1
        mark_read(stack, bob, unread(stack, bob)["newest"])
        assert unread(stack, bob)["unread"] == 0
        go_on(slow)
        assert read_output(slow) == "done"
        assert soon_published(stack, "Slow")
    assert unread(stack, bob)["unread"] == 1


def mark_read(stack: Stack, cookie: str, up_to: int) -> None:
    page = fetch(f"{stack.url}/notifications/", headers={"Cookie": cookie})
    token = page.text.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    now = [value.partition(";")[0] for value in page.headers.get_all("Set-Cookie", [])]
    fields = {"csrfmiddlewaretoken": token, "up_to": str(up_to)}
    done = fetch(f"{stack.url}/notifications/read/", fields=fields, headers={"Cookie": "; ".join((cookie, *now))})
    assert done.status == 302


def unread(stack: Stack, cookie: str) -> dict[str, int]:
    return fetch(f"{stack.url}/notifications/unread/", headers={"Cookie": cookie}).json()


@pytest.mark.skipif(
    not LIBRARIES, reason="moving a process's clock takes libfaketime (Debian: apt-get install faketime)"
)
@pytest.mark.parametrize("minutes", [20, -20])
def test_the_clock_of_a_web_host_delays_no_event(stack, minutes):
    """A web host 20 minutes ahead was restarted: a logout that it had committed took effect 20 minutes later."""
    clock = {"LD_PRELOAD": str(LIBRARIES[-1]), "FAKETIME": f"{minutes * 60:+}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    title = f"Left by a host {minutes} minutes ahead"
    # Like a process that is killed between its commit and its publishing.
    killed = f"""
transaction.on_commit = lambda *_, **__: None
actions.create_document(user, title='{title}', body='')
print('left', flush=True)
input()
"""
    with process(stack, killed, **clock) as first:
        assert read_output(first) == "left"
    assert soon_published(stack, title)
