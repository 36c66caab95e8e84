"""What makes alerts fire: each breaks one thing of a stack, waits for what must fire, and mends it again."""

from __future__ import annotations

import contextlib
import functools
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
from tests.monitoring.crowd import Crowd
from tests.monitoring.story import Story
from tests.monitoring.watched import alerts
from tests.pages import fetch

Cause = Callable[[Story, Crowd], None]

# In the middle of a storm's return.
RETURNING_SECONDS = 0.4
# Of the 7 s that a drain may take here (2 s to close, 5 s to hand over): 0.5 s of it, and then it stands still so long
# that with two seconds of waiting for Redis it is past 80 %, and not past all.
BEGUN_SECONDS, STANDS_SECONDS = 0.5, 4.3
# What every scrape of a node and of a web process brings, for the alerts of absence.
EVERYTHING = "tidewire_.+|process_start_time_seconds"
TABLES = ("dashboard_document", "tidewire_outboxevent")
MISSING = {name for name in alerts() if name.startswith("TidewireMetricMissing ")}

DJANGO = "import django; django.setup()\n"
LEAVE_ONE_BEHIND = """
from datetime import timedelta
from django.utils import timezone
from tidewire.models import OutboxEvent
row = OutboxEvent.objects.create(event_id="left", topic="notifications", type="test.left", body="{}")
OutboxEvent.objects.filter(pk=row.pk).update(created_at=timezone.now() - timedelta(minutes=2))
"""
TAKE_IT_AWAY = """
from tidewire.models import OutboxEvent
OutboxEvent.objects.filter(event_id="left").delete()
"""
# As of a version whose hints have no offset.
ODD_HINT = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from tidewire.conf import settings
from tidewire.hub import HINT, group_name
group = group_name(settings().PREFIX, "notifications")
async_to_sync(get_channel_layer().group_send)(group, {"type": HINT, "topic": "notifications"})
"""
# A megabyte for every reader, four times what a node holds for one.
LARGE_EVENTS = """
import asyncio, uuid
from datetime import UTC, datetime
from channels.layers import get_channel_layer
from dashboard.events import NotificationCreated
from tidewire.conf import settings
from tidewire.publish import publish
from tidewire.stores import stream_store
async def main():
    for i in range(128):
        event = NotificationCreated(
            id=uuid.uuid4(), notification_id=i, actor="ada", verb="created", slug="large", title="x" * 8192,
            at=datetime.now(UTC),
        )
        await publish(event, streams=stream_store(), layer=get_channel_layer(), prefix=settings().PREFIX)
asyncio.run(main())
"""


def crowding(story: Story, crowd: Crowd) -> None:
    """130 of 150 on one node: near its limit, and lopsided."""
    first, second = (f"ws://127.0.0.1:{node.port}" for node in story.stack.ws)
    crowd.join(30, at=first)
    crowd.join(130, at=second)
    crowd.write(3)
    story.until("TidewireConnectionsNearLimit", "TidewireImbalance", seconds=90)


def joining(_story: Story, crowd: Crowd) -> None:
    """Sixty sockets over both nodes, and a few events."""
    crowd.join(60)
    crowd.write(3)


def losing(story: Story, crowd: Crowd) -> None:
    """All sockets at once, as when a proxy is restarted; all come back."""
    crowd.lose()
    story.until("TidewireReconnectStorm", "TidewireAbnormalCloses")


def knocking(story: Story, crowd: Crowd) -> None:
    """Four hundred handshakes of nobody."""
    knocks = threading.Thread(target=crowd.knock, args=(400,), daemon=True)
    knocks.start()
    story.until("TidewireAuthenticationRefusals")
    knocks.join(60)


def killing(story: Story, _crowd: Crowd) -> None:
    """Kill -9 of a node with sockets and members."""
    story.stack.stop_ws(0, signal.SIGKILL)
    story.until("TidewireSocketsGone", "TidewireScrapeMissing", "TidewireGhosts")
    story.stack.start_ws(0)


def dragging(story: Story, _crowd: Crowd) -> None:
    """A node that drains stands still, and so does Redis when presence is handed over."""
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
    """Both nodes stand still for most of each second, while documents are written."""
    with _again_and_again(
        *(lambda pid=node.pid: stopped(pid) for node in story.stack.ws), seconds=0.6, calm_seconds=0.4
    ):
        story.until(
            *("TidewireLoopLag", "TidewireDeliveryLateFast", "TidewireDeliveryLateSlow"),
            seconds=120,
            do=lambda: crowd.write(1),
        )


def refusing(story: Story, crowd: Crowd) -> None:
    """Redis does everything but announce: events are kept, their hints are lost, nodes read what they missed."""
    with Redis.from_url(story.stack.redis_url) as redis:
        redis.execute_command("ACL", "SETUSER", "default", "-publish")
        story.until("TidewireDropped", do=lambda: crowd.write(1))
        redis.execute_command("ACL", "SETUSER", "default", "+publish")


def owing(story: Story, _crowd: Crowd) -> None:
    """An event was committed two minutes ago, and nobody publishes it."""
    story.stack.stop("relay")
    story.stack.run("-c", DJANGO + LEAVE_ONE_BEHIND)
    story.until("TidewireOutboxStuck")
    story.stack.run("-c", DJANGO + TAKE_IT_AWAY)
    story.stack.start("relay")


def misleading(story: Story, _crowd: Crowd) -> None:
    """A hint of another version, which the hub cannot read."""
    story.stack.run("-c", DJANGO + ODD_HINT)
    story.until("TidewireHubRestarts")


def stalling(story: Story, crowd: Crowd) -> None:
    """Ten readers that read nothing, and a megabyte for each."""
    page = SimpleNamespace(path="/ws/notifications/", cookie=crowd.cookies[0])
    wires = stall(story.stack.ws[0].port, page, 10)
    story.stack.run("-c", DJANGO + LARGE_EVENTS)
    story.until("TidewireSlowConsumers")
    for wire in wires:
        wire.close()


def losing_redis(story: Story, crowd: Crowd) -> None:
    """Redis goes; it comes back empty, again and again, while people come and go."""
    eyes, stack = story.eyes, story.stack
    crowd.lose()
    time.sleep(RETURNING_SECONDS)
    stack.stop("redis", signal.SIGKILL)
    story.until("TidewireStale", "TidewireRedisErrors")
    for _ in range(5):
        stack.start("redis")
        crowd.lose()
        eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=10)
        story.look()
        stack.stop("redis", signal.SIGKILL)
        eyes.wait(lambda: bool(eyes.query("sum(tidewire_stale) > 0")), seconds=10)
    stack.start("redis")
    story.until("TidewireRedisReconnects", "TidewireResumeGaps", seconds=20)
    eyes.wait(lambda: not eyes.query("sum(tidewire_stale) > 0"), seconds=20)


def losing_tables(story: Story, crowd: Crowd) -> None:
    """The database is there, its documents and its outbox are not: every page is an error, every look fails."""
    front = functools.partial(fetch, f"{story.stack.url}/", headers={"Cookie": crowd.cookies[0]})
    with contextlib.closing(sqlite3.connect(_database(story), timeout=20)) as connection:
        for table in TABLES:
            connection.execute(f"ALTER TABLE {table} RENAME TO away_{table}")
        story.until("TidewireWebErrors", "TidewireRelayStuck", seconds=120, do=front)
        for table in TABLES:
            connection.execute(f"ALTER TABLE away_{table} RENAME TO {table}")


def locking(story: Story, crowd: Crowd) -> None:
    """Somebody else writes to the database for seconds, again and again: every page that writes waits for them."""
    with _again_and_again(lambda: _locked(_database(story)), seconds=2.0, calm_seconds=0.5):
        story.until("TidewireWebSlow", seconds=90, do=lambda: crowd.write(1))


def blinding(story: Story, _crowd: Crowd) -> None:
    """No metric of tidewire's in any scrape; then a job that is not scraped at all."""
    story.eyes.configure(dropped=EVERYTHING)
    story.until(*MISSING, seconds=60)
    story.eyes.configure(without="ws")
    story.until("TidewireNobodyScraped", seconds=60)
    story.eyes.configure()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still."""
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
    """All of these for so long, then calm for so long, until the end."""
    over = threading.Event()

    def go_on(trouble: Callable[[], contextlib.AbstractContextManager[None]]) -> None:
        while not over.is_set():
            with trouble():
                over.wait(seconds)
            over.wait(calm_seconds)

    threads = [threading.Thread(target=go_on, args=(trouble,), daemon=True) for trouble in troubles]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(10)
