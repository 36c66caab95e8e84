"""Faults of publishing, on PostgreSQL: the publishing process is stopped, a web host's clock is ahead."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.data import judge, last_for, start
from tests.faults.event_source import Publisher
from tests.faults.scene import people
from tests.faults.test_clock import LIBRARIES
from tests.postgres import Postgres, why_not
from tests.stack import PREPARE_SECONDS, Stack

STOPPED_SECONDS = 8.0
# A stopped publisher, or a process that is killed after its commit, may delay other events for this long.
DELAY_SECONDS = 3.0
HOLDER = "from tidewire.models import PublisherTurn; print(PublisherTurn.objects.get().holder)"
# Like a process that is killed between its commit and its publishing.
LEAVE = (
    "from tidewire.publishing import publisher; publisher.wake = lambda: None;"
    "from django.contrib.auth.models import User; from dashboard import actions;"
    "actions.create_document(User.objects.get(username='bob'), title='Left behind', body='')"
)


@pytest.fixture
def start_on_postgresql(stack_factory) -> Iterator[Callable[..., Stack]]:
    if reason := why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as running:

        def start(**options) -> Stack:
            database = running.enter_context(Postgres())
            stack = stack_factory(TIDEWIRE_DATABASE_URL=database.url, **options)
            stack.run("-m", "deploy.local.prepare", timeout_seconds=PREPARE_SECONDS)
            return running.enter_context(stack)

        yield start


def shell(stack: Stack, code: str) -> str:
    return stack.run("services/web/manage.py", "shell", "--no-imports", "-v0", "-c", code)


def test_publisher_stopped(start_on_postgresql, scene, size):
    """Two processes save; the one that publishes is stopped (SIGSTOP): the other's events must arrive in time."""
    stack = start_on_postgresql()
    count = size(100, 20)
    with (
        scene(stack, "publisher stopped for 8 s", pages=people(stack, count), per_second=10, order=62) as run,
        Publisher(stack, 10) as other,
    ):
        both = {run.publisher.pid, other.pid}
        start(run, "the process that publishes is stopped")
        stopped = 0
        while stopped not in both:
            stopped = int(shell(stack, HOLDER).split(":")[1])
        os.kill(stopped, signal.SIGSTOP)
        try:
            run.crowd.ask("mark", span="stopped")
            last_for(run, STOPPED_SECONDS)
            run.crowd.ask("mark", span="after")
        finally:
            os.kill(stopped, signal.SIGCONT)
        run.calm()
        other.stop()
        judge(run, people=count, ended=time.time())
        late = max(run.latencies.get("stopped", [0.0]))
        shown = len(run.latencies.get("stopped", ()))
        run.target("events of the other process arrived meanwhile", shown > 0, f"{shown:,}")
        run.target("none of them later than 3 s", 0 < late < DELAY_SECONDS, f"{late:.2f} s at most")
        run.verdict()


@pytest.mark.skipif(
    not LIBRARIES, reason="moving a process's clock takes libfaketime (Debian: apt-get install faketime)"
)
def test_web_host_ahead(start_on_postgresql, scene, size):
    """A host 20 minutes ahead commits an event and is killed before it publishes it: the relay must do so in time."""
    stack = start_on_postgresql()
    count = size(100, 20)
    ahead = {"LD_PRELOAD": str(LIBRARIES[-1]), "FAKETIME": "+1200", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with scene(stack, "web host's clock 20 min ahead", pages=people(stack, count), per_second=0, order=73) as run:
        run.begin("a process of a host 20 minutes ahead commits and is killed")
        before = dict(stack.environment)
        stack.environment.update(ahead)
        shell(stack, LEAVE)
        stack.environment.clear()
        stack.environment.update(before)
        committed = time.time()
        while run.crowd.ask("status", shown=run.after + 1)["behind"] and time.time() - committed < 30:
            time.sleep(0.05)
        late = time.time() - committed
        run.target("its event is on every page within 3 s", late < DELAY_SECONDS, f"after {late:.2f} s")
        run.catch_up()
        run.nothing_lost()
        run.verdict()
