"""Causes of alerts: each breaks a part of a stack, waits until its alerts fire, and repairs the part."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

from redis import Redis

from tests.faults.test_connections import stall
from tests.http_client import fetch, submit
from tests.monitoring.monitored_users import Crowd
from tests.monitoring.story import Story

Cause = Callable[[Story, Crowd], None]

# Half-way through the reconnects after a storm.
RETURNING_SECONDS = 0.4
# A drain may take 7 s here: 2 s to close, 5 s to hand over. These waits and two seconds of waiting for Redis add up to
# more than 86 % of that, for at least one scrape, but less than 100 %.
BEGUN_SECONDS, STANDS_SECONDS = 0.5, 4.4
# All metrics in a scrape of a node or a web process, for the alerts on missing ones.
EVERYTHING = "tidewire_.+|process_start_time_seconds"
TABLES = ("dashboard_document", "tidewire_outboxevent")

# The default of the setting PREFIX.
PREFIX = "tidewire"
DJANGO = "import django; django.setup()\n"
LEFT = "00000000-0000-4000-8000-000000000000"
LEAVE_ONE_BEHIND = f"""
from datetime import timedelta
from django.utils import timezone
from tidewire.models import OutboxEvent
row = OutboxEvent.objects.create(event_id="{LEFT}", topic="notifications", type="test.left", body="{{}}")
OutboxEvent.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=2))
"""
TAKE_IT_AWAY = f"""
from tidewire.models import OutboxEvent
OutboxEvent.objects.filter(event_id="{LEFT}").delete()
"""
# A megabyte for every reader, four times the backlog that a node accepts for one.
LARGE_EVENTS = """
import asyncio, uuid
from datetime import UTC, datetime
from channels.layers import get_channel_layer
from dashboard.events import NotificationCreated
from tidewire.conf import settings
from tidewire.publishing.direct import publish_now
from tidewire.streams.redis import stream_store
async def main():
    for i in range(128):
        event = NotificationCreated(
            id=uuid.uuid4(), notification_id=i, actor="ada", verb="created", slug="large", title="x" * 8192,
            at=datetime.now(UTC),
        )
        await publish_now(event, streams=stream_store(), layer=get_channel_layer(), prefix=settings().PREFIX)
asyncio.run(main())
"""


def crowding(story: Story, crowd: Crowd) -> None:
    """Open 130 of 150 sockets on one node, so that it is near its limit and unbalanced."""
    first, second = (f"ws://127.0.0.1:{node.port}" for node in story.stack.ws)
    crowd.join(30, at=first)
    crowd.join(130, at=second)
    crowd.write(3)
    story.until("TidewireConnectionsNearLimit", "TidewireImbalance", seconds=90)


def joining(_story: Story, crowd: Crowd) -> None:
    """Open sixty sockets on both nodes, and publish a few events."""
    crowd.join(60)
    crowd.write(3)


def losing(story: Story, crowd: Crowd) -> None:
    """Abort all sockets at once, like the restart of a proxy; all reconnect."""
    crowd.lose()
    story.until("TidewireReconnectStorm", "TidewireAbnormalCloses")


def knocking(story: Story, crowd: Crowd) -> None:
    """Send four hundred handshakes without a session."""
    knocks = threading.Thread(target=crowd.knock, args=(400,), daemon=True)
    knocks.start()
    story.until("TidewireAuthenticationRefusals")
    knocks.join(60)


def killing(story: Story, _crowd: Crowd) -> None:
    """Kill a node with sockets and members, with `kill -9`."""
    story.stack.stop_ws(0, signal.SIGKILL)
    story.until("TidewireNodeLost", "TidewireScrapeMissing", "TidewireGhosts")
    story.stack.start_ws(0)


def hanging(story: Story, _crowd: Crowd) -> None:
    """Suspend the node with most sockets: its users have no other one, and cannot know."""
    with stopped(story.stack.ws[1].pid):
        story.until("TidewireSocketsGone", seconds=15)


def dragging(story: Story, _crowd: Crowd) -> None:
    """Suspend a node during its drain, and Redis during the handover of presence."""
    node, redis = story.stack.ws[1], story.stack.processes["redis"]
    os.kill(node.pid, signal.SIGTERM)
    time.sleep(BEGUN_SECONDS)
    with contextlib.ExitStack() as standing:
        with stopped(node.pid):
            time.sleep(STANDS_SECONDS)
            standing.enter_context(stopped(redis.pid))
        story.until("TidewireDrainSlow", seconds=15)
    assert node.process is not None
    node.process.wait(20)
    story.stack.start_ws(1)


def stuttering(story: Story, crowd: Crowd) -> None:
    """Suspend both nodes for most of each second while documents are written."""
    with _again_and_again(
        *(lambda pid=node.pid: stopped(pid) for node in story.stack.ws), seconds=0.6, calm_seconds=0.4
    ):
        story.until(
            *("TidewireLoopLag", "TidewireDeliveryLateFast", "TidewireDeliveryLateSlow"),
            seconds=120,
            do=lambda: crowd.write(1),
        )


def refusing(story: Story, crowd: Crowd) -> None:
    """Let Redis refuse all hints: events are stored without an announcement, and nodes must read them later."""
    with Redis.from_url(story.stack.redis_url) as redis:
        redis.execute_command("ACL", "SETUSER", "default", "-publish")
        story.until("TidewireDropped", do=lambda: crowd.write(1))
        redis.execute_command("ACL", "SETUSER", "default", "+publish")


def owing(story: Story, _crowd: Crowd) -> None:
    """Leave an event unpublished that was committed two minutes ago."""
    story.stack.stop("relay")
    story.stack.run("-c", DJANGO + LEAVE_ONE_BEHIND)
    story.until("TidewireOutboxStuck")
    story.stack.run("-c", DJANGO + TAKE_IT_AWAY)
    story.stack.start("relay")


def misleading(story: Story, _crowd: Crowd) -> None:
    """Store a tag that no version of tidewire writes, which the check of the hubs cannot read."""
    with Redis.from_url(story.stack.redis_url) as redis:
        redis.hset(f"{PREFIX}:versions:tags", "users", "odd")
        story.until("TidewireTaskRestarts")
        redis.hdel(f"{PREFIX}:versions:tags", "users")


def stalling(story: Story, crowd: Crowd) -> None:
    """Open ten sockets that never read, and send a megabyte to each."""
    page = SimpleNamespace(path="/ws/notifications/", cookie=crowd.cookies[0])
    wires = stall(story.stack.ws[0].port, page, 10)
    story.stack.run("-c", DJANGO + LARGE_EVENTS)
    story.until("TidewireSlowConsumers")
    for wire in wires:
        wire.close()


def losing_redis(story: Story, crowd: Crowd) -> None:
    """Stop Redis and start it without data, several times, while sockets reconnect."""
    eyes, stack = story.eyes, story.stack
    crowd.lose()
    time.sleep(RETURNING_SECONDS)
    stack.stop("redis", signal.SIGKILL)
    story.until("TidewireStale", "TidewireRedisErrors")
    for _ in range(5):
        stack.start("redis")
        crowd.lose()
        eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=10)
        story.sample()
        stack.stop("redis", signal.SIGKILL)
        eyes.wait(lambda: bool(eyes.query("sum(tidewire_stale) > 0")), seconds=10)
    stack.start("redis")
    story.until("TidewireRedisReconnects", "TidewireResumeGaps", seconds=20)
    eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=20)


def losing_tables(story: Story, crowd: Crowd) -> None:
    """Rename the tables of documents and of the outbox: every page and every poll of the relay fails."""
    cookie = crowd.cookies[0]

    def use() -> None:
        fetch(f"{story.stack.url}/", headers={"Cookie": cookie})
        submit(f"{story.stack.url}/new/", cookie, {"title": "Not saved", "body": "Text."})

    with contextlib.closing(sqlite3.connect(_database(story), timeout=20)) as connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
        story.until("TidewireWebErrors", "TidewireSavesFail", "TidewireRelayStuck", seconds=120, do=use)
        for table in TABLES:
            connection.execute(f"ALTER TABLE away_{table} RENAME TO {table}")


def forgetting(story: Story, _crowd: Crowd) -> None:
    """Delete the sessions of users that go on using pages."""
    cookies = story.stack.sessions(*(f"forgotten-{number}" for number in range(12)), tickets=True).values()
    with contextlib.closing(sqlite3.connect(_database(story), timeout=20)) as connection, connection:
        connection.execute("DELETE FROM django_session")

    def use() -> None:
        for cookie in cookies:
            fetch(f"{story.stack.url}/", headers={"Cookie": cookie})

    story.until("TidewireSessionsMissing", do=use)


def locking(story: Story, crowd: Crowd) -> None:
    """Lock the database for seconds, repeatedly: every page that writes must wait."""
    with _again_and_again(lambda: _locked(_database(story)), seconds=2.0, calm_seconds=0.5):
        story.until("TidewireWebSlow", seconds=90, do=lambda: crowd.write(1))


def blinding(story: Story, _crowd: Crowd) -> None:
    """Drop all metrics of tidewire from the scrapes, then stop scraping a job."""
    story.eyes.configure(dropped=EVERYTHING)
    story.until("TidewireMetricMissing", seconds=60)
    story.eyes.configure(without="ws")
    story.until("TidewireNoTargets", seconds=60)
    story.eyes.configure()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Suspend a process."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _database(story: Story) -> Path:
    return story.stack.layout.var / "tidewire.sqlite3"


@contextlib.contextmanager
def _locked(database: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(database, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def _again_and_again(
    *troubles: Callable[[], contextlib.AbstractContextManager[None]], seconds: float, calm_seconds: float
) -> Iterator[None]:
    """Run all troubles for `seconds`, then pause for `calm_seconds`, until the end."""
    ended = threading.Event()

    def go_on(trouble: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        while not ended.is_set():
            with trouble():
                ended.wait(seconds)
            ended.wait(calm_seconds)

    threads = [threading.Thread(target=go_on, args=(trouble,), daemon=True) for trouble in troubles]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(10)
