"""Faults of Redis under load: stopped, killed, paused, flushed, failed over."""

import contextlib
import dataclasses
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from tests.faults.data import judge, last_for, page, start
from tests.faults.scene import people
from tests.redis_servers import Address, Server, why_not
from tests.sentinels import MASTER, Sentinels
from tests.stack import Stack

FAULT_SECONDS = 5.0
# Redis loses the writes that it acknowledged in this time, which is much shorter than a lease.
LOST_SECONDS = 2.0


@pytest.fixture
def begin(scene, size):
    """`begin(stack, fault, order)` returns the number of people and a scene with all of them connected."""

    def begin(stack: Stack, fault: str, order: int):
        count = size(100, 20)
        return count, scene(stack, fault, pages=people(stack, count), per_second=size(20, 10), order=order)

    return begin


@pytest.mark.smoke
def test_restart(start_stack, begin):
    """Redis is stopped and restarted without data: events wait in the outbox meanwhile, presence is refilled."""
    stack = start_stack()
    count, scene = begin(stack, "Redis stopped for 5 s, without persistence", 50)
    with scene as run:
        start(run, "Redis is stopped")
        stack.stop("redis")
        last_for(run, FAULT_SECONDS)
        run.target("pages work without it", (status := page(stack, run)) == 200, f"status {status}")
        stack.start("redis")
        judge(run, people=count, ended=time.time())
        run.target("no save failed", run.publisher.failed == 0, f"{run.publisher.saved} saved")
        run.verdict()


def test_kill_with_persistence(stack_factory, begin):
    """Redis is killed and restarted with the data of its append-only file."""
    stack = stack_factory()
    running = stack.processes["redis"]
    command = list(running.definition.command)
    command[command.index("--appendonly") + 1] = "yes"
    running.definition = dataclasses.replace(running.definition, command=command)
    with stack:
        count, scene = begin(stack, "Redis killed for 5 s, with an append-only file", 51)
        with scene as run:
            start(run, "Redis is killed")
            stack.stop("redis", signal.SIGKILL)
            last_for(run, FAULT_SECONDS)
            stack.start("redis")
            judge(run, people=count, ended=time.time())
            run.verdict()


def test_rollback(start_stack, begin):
    """Redis crashes and restarts at once with a snapshot 2 s older: it has all leases, but not the last events."""
    stack = start_stack()
    count, scene = begin(stack, "Redis restarted with a snapshot 2 s older", 52)
    with scene as run:
        start(run, "a snapshot is made")
        with redis.Redis.from_url(stack.redis_url) as client:
            client.save()
        # A user leaves and events are published, and Redis loses both.
        last_for(run, LOST_SECONDS)
        stack.stop("redis", signal.SIGKILL)
        stack.start("redis")
        judge(run, people=count, ended=time.time())
        run.target("pages reload the events that they cannot receive", run.row.account.not_recovered > 0, "they did")
        run.verdict()


@pytest.fixture
def addressed(tmp_path, start_stack):
    """A stack with one address for Redis, and the primary and the replica behind it."""
    if reason := why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as closing:
        primary, replica = (Server(tmp_path / name) for name in ("primary", "replica"))
        for server in (primary, replica):
            closing.callback(server.client.close)
            closing.callback(server.kill)
            server.start()
        address = closing.enter_context(Address(primary.port))
        replica.follow(primary)
        yield start_stack(TIDEWIRE_REDIS_URL=address.url), primary, replica, address


def test_lagging_replica(addressed, begin):
    """The primary is lost; its replica, which has received nothing for 2 s, takes over."""
    stack, primary, replica, address = addressed
    count, scene = begin(stack, "failover to a Redis replica that is 2 s behind", 59)
    with scene as run:
        start(run, "the replica begins to lag")
        replica.lag()
        last_for(run, LOST_SECONDS)
        primary.kill()
        replica.promote()
        address.port = replica.port
        judge(run, people=count, ended=time.time())
        run.target("pages reload the events that they cannot receive", run.row.account.not_recovered > 0, "they did")
        run.verdict()


def test_planned_failover(addressed, begin):
    """The address leads to the replica, which has all data; connections to the demoted primary stay open."""
    stack, primary, replica, address = addressed
    count, scene = begin(stack, "planned failover of Redis behind one address", 59)
    with scene as run:
        start(run, "the replica is promoted")
        replica.promote()
        primary.client.replicaof("127.0.0.1", str(replica.port))
        address.port = replica.port
        last_for(run, FAULT_SECONDS)
        judge(run, people=count, ended=time.time())
        run.target("no page had to reload", run.row.account.not_recovered == 0, f"{run.row.account.not_recovered} did")
        run.target("no save failed", run.publisher.failed == 0, f"{run.publisher.saved} saved")
        run.verdict()


def test_pause(start_stack, begin):
    """SIGSTOP for 5 s: connections stay open, and no command is answered."""
    stack = start_stack()
    count, scene = begin(stack, "Redis paused for 5 s (SIGSTOP)", 53)
    with scene as run:
        start(run, "Redis stands still")
        os.kill(stack.processes["redis"].pid, signal.SIGSTOP)
        try:
            last_for(run, FAULT_SECONDS)
        finally:
            os.kill(stack.processes["redis"].pid, signal.SIGCONT)
        judge(run, people=count, ended=time.time())
        run.verdict()


def test_flush(start_stack, begin):
    """After FLUSHALL, Redis continues without data."""
    stack = start_stack()
    count, scene = begin(stack, "Redis emptied (FLUSHALL)", 54)
    with scene as run:
        start(run, "Redis forgets everything")
        with redis.Redis.from_url(stack.redis_url) as client:
            client.flushall()
        ended = time.time()
        run.crowd.ask("leave", user="person-0")
        judge(run, people=count, ended=ended, saves=False)
        run.verdict()


def test_full(start_stack, begin):
    """Its memory is full, so Redis refuses writes. No page reloads and no user saves again: the relay must publish."""
    stack = start_stack()
    count, scene = begin(stack, "Redis full for 5 s (refuses writes)", 55)
    with scene as run, redis.Redis.from_url(stack.redis_url) as client:
        start(run, "Redis is full")
        client.config_set("maxmemory", 1)
        last_for(run, FAULT_SECONDS)
        # The next save would publish the remaining events, and hide whether the relay does.
        run.publisher.stop()
        client.config_set("maxmemory", 0)
        judge(run, people=count, ended=time.time())
        run.target("no page had to reload", run.row.account.not_recovered == 0, f"{run.row.account.not_recovered} did")
        run.verdict()


def test_deaf(start_stack, begin):
    """Subscriptions are killed repeatedly until the end: nearly no hint is received, so the checks deliver events."""
    stack = start_stack()
    count, scene = begin(stack, "subscriptions to Redis cut ten times a second", 56)
    with scene as run, cutting(stack):
        start(run, "subscriptions are cut")
        last_for(run, FAULT_SECONDS)
        judge(run, people=count, ended=time.time())
        run.verdict()


def test_mute(start_stack, begin):
    """Redis refuses every hint until the end, but keeps all data: the checks alone deliver events and counts."""
    stack = start_stack()
    count, scene = begin(stack, "Redis passes no hint on (refuses PUBLISH)", 57)
    with scene as run, redis.Redis.from_url(stack.redis_url) as client:
        start(run, "hints are refused")
        client.execute_command("ACL", "SETUSER", "default", "-publish")
        last_for(run, FAULT_SECONDS)
        judge(run, people=count, ended=time.time())
        run.target("no page had to reload", run.row.account.not_recovered == 0, f"{run.row.account.not_recovered} did")
        run.verdict()


@contextlib.contextmanager
def cutting(stack: Stack) -> Iterator[None]:
    """Kill every subscription, ten times a second."""
    ended = threading.Event()

    def kill_subscriptions() -> None:
        with redis.Redis.from_url(stack.redis_url) as client:
            while not ended.wait(0.1):
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    thread = threading.Thread(target=kill_subscriptions, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_failover(stack_factory, begin, tmp_path):
    """The primary is killed: the Sentinels name its replica, and all clients continue there."""
    if shutil.which("redis-server") is None:
        pytest.skip("Sentinels are a redis-server")
    with Sentinels(tmp_path / "sentinels", password="s3cret") as sentinels:
        stack = stack_factory(
            TIDEWIRE_REDIS_SENTINELS=",".join(sentinels.addresses),
            TIDEWIRE_REDIS_MASTER=MASTER,
            TIDEWIRE_REDIS_URL="redis://:s3cret@sentinels-know.invalid/0",
        )
        with stack:
            count, scene = begin(stack, "Redis primary killed, failover by Sentinel", 58)
            with scene as run:
                began = start(run, "the primary is killed")
                sentinels.kill(sentinels.primary)
                last_for(run, 2.0)
                sentinels.wait_for_failover()
                ended = time.time()
                run.remark(f"the Sentinels took {ended - began:.1f} s to name another")
                judge(run, people=count, ended=ended)
                run.verdict()
