"""Writes that Redis acknowledged and then lost: a failover with a lagging replica, an older snapshot, another Redis.

`python -m pytest tests/reports/test_lost_writes.py -s` prints, for each fault, the members shown, the ghosts, and the
seconds until everything was right.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

import pytest

from tests.integration.tidewire.test_node import offsets
from tests.redis_servers import why_not
from tests.reports.redis_faults import (
    Empty,
    Flushed,
    LaggingReplica,
    OlderSnapshot,
    ThereAndBack,
    TruncatedLog,
    Unrelated,
)
from tests.reports.redis_nodes import Hall, hall, place, recovered, until
from tests.unit.tidewire.fakes import FakeSocket
from tidewire.fanout.positions import Positions
from tidewire.presence import redis as presence_redis
from tidewire.topics import Position, StreamTopic

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    # redis-py does not log this; the library must log that Redis is unavailable.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

BEFORE = [f"before-{number}" for number in range(3)]
AFTER = [f"after-{number}" for number in range(19)]

FAULTS = [LaggingReplica, OlderSnapshot, Empty, Flushed, TruncatedLog, ThereAndBack, Unrelated]


@pytest.fixture(params=FAULTS, ids=lambda kind: kind.__name__)
def fault(request, tmp_path):
    with contextlib.closing(request.param(tmp_path)) as new_fault:
        yield new_fault


async def test_pages_show_everybody_and_no_ghost_after_redis_lost_writes(fault, settings, caplog):
    """After last night's failover two of twenty people were shown, and one of them had gone home.

    Three members are present. A replica stops receiving writes, or a snapshot is made. One of the three leaves and
    nineteen join. Then Redis returns to the state of that moment.
    """
    with fault.begin() as address:
        async with hall(settings, address.url) as here:
            here.enter(*BEFORE)
            await here.wait_until_right()
            await asyncio.to_thread(fault.remember)
            here.enter(*AFTER)
            here.leave(BEFORE[0])
            await here.wait_until_right()
            await asyncio.to_thread(fault.lose)
            await here.heals(type(fault).__name__)


@pytest.mark.parametrize("said_since", [0, 2, 5, 9])
async def test_a_page_learns_that_its_events_were_lost(fault, settings, said_since):
    """My notifications stopped at number five; the later ones never came, and the page showed Live.

    Five events are lost, and as many others, or fewer, or more, get their offsets. Sockets that stayed, and sockets
    that return with the position of the last lost event, must reload.
    """
    if isinstance(fault, ThereAndBack):
        pytest.skip("an event on the other Redis is not lost: the address leads to it again or never")
    with fault.begin() as address:
        async with hall(settings, address.url) as here:
            await here.cluster.say(4)
            await until(lambda: all(offsets(talk) == [1, 2, 3, 4] for talk in here.talks))
            await asyncio.to_thread(fault.remember)
            await here.cluster.say(5)
            await until(lambda: all(offsets(talk)[-1:] == [9] for talk in here.talks))
            stood = place(here.talks[0])
            await asyncio.to_thread(fault.lose)
            await _say(here, said_since)
            returning = _returns(here, stood)
            # Another event may follow, which resumes from the first event of an empty Redis.
            await until(lambda: all(False in recovered(talk) for talk in (*here.talks, returning)))
            await _say(here, 1)
            newest = next(here.cluster.numbers) - 1
            for talk in (*here.talks, returning):
                await until(lambda talk=talk: _texts(talk)[-1:] == [f"word {newest}"])


async def test_nothing_was_lost_and_no_page_reloads(tmp_path, settings):
    """Every failover made every page reload at once. A page must not reload if the replica had all writes."""
    with contextlib.closing(LaggingReplica(tmp_path)) as fault, fault.begin() as address:
        async with hall(settings, address.url) as here:
            await here.cluster.say(4)
            await until(lambda: all(offsets(talk) == [1, 2, 3, 4] for talk in here.talks))
            stood = place(here.talks[0])
            await asyncio.to_thread(fault.remember)
            await asyncio.to_thread(fault.lose)
            await _say(here, 2)
            returning = _returns(here, stood)
            await until(lambda: offsets(returning) == [5, 6])
            await until(lambda: all(offsets(talk) == [1, 2, 3, 4, 5, 6] for talk in here.talks))
            assert not any(False in recovered(talk) for talk in (*here.talks, returning))


async def test_a_redis_user_without_dangerous_commands_notices_as_well(tmp_path, settings):
    """Our provider forbids INFO, so the loss went undetected. The library must need no @dangerous or @admin command."""
    with contextlib.closing(OlderSnapshot(tmp_path)) as fault, fault.begin() as address:
        rules = ["reset", "on", ">s3cret", "~tidewire*", "~asgi*", "&*", "+@all", "-@dangerous", "-@admin"]
        url = f"redis://narrow:s3cret@127.0.0.1:{address.own_port}/0"
        fault.primary.client.execute_command("ACL", "SETUSER", "narrow", *rules)
        async with hall(settings, url) as here:
            here.enter(*BEFORE)
            await here.wait_until_right()
            fault.remember()
            here.enter(*AFTER)
            here.leave(BEFORE[0])
            await here.cluster.say(1)
            await here.wait_until_right()
            stood = place(here.talks[0])
            await asyncio.to_thread(fault.primary.kill)
            await asyncio.to_thread(fault.primary.start)
            fault.primary.client.execute_command("ACL", "SETUSER", "narrow", *rules)
            await _say(here, 1)
            await until(lambda: recovered(_returns(here, stood)) in ([], [False]))
            await here.heals("Redis user without @dangerous", timeout_seconds=10.0)


@pytest.mark.parametrize("nth", range(1, 5))
async def test_a_lost_reply_loses_no_member(tmp_path, settings, nth):
    """Redis was emptied while the network dropped packets, and my colleague never came back on the list.

    Redis is emptied. The reply to the first, second, third or fourth script after that is lost with its connection, and
    another one a moment later.
    """
    with contextlib.closing(Flushed(tmp_path)) as fault, fault.begin() as address:
        async with hall(settings, address.url) as here:
            here.enter(*BEFORE, *AFTER)
            await here.wait_until_right()
            # redis-py itself retries once, so two replies in a row are lost.
            address.loses = _losing(nth, nth + 1, nth + 5)
            await asyncio.to_thread(fault.lose)
            await here.heals(f"reply {nth} lost after FLUSHALL")


@pytest.mark.parametrize(
    "key",
    ["nodes", "connections:*", "members:*", "deadlines", "audits", "versions", "witness:*", "changed:*", "lineage:*"],
)
async def test_a_key_that_redis_evicted_is_put_back(tmp_path, settings, monkeypatch, key):
    """allkeys-lru evicted a key, and since then the list is empty. The test deletes each key of presence in turn."""
    monkeypatch.setattr(presence_redis, "AUDIT_MS", 1500, raising=False)
    with contextlib.closing(Flushed(tmp_path)) as fault, fault.begin() as address:
        async with hall(settings, address.url) as here:
            here.enter(*BEFORE, *AFTER)
            await here.wait_until_right()
            evicted = [*fault.primary.client.scan_iter(f"{settings.TIDEWIRE.get('PREFIX', 'tidewire')}:{key}")]
            if evicted:
                fault.primary.client.delete(*evicted)
            here.leave(BEFORE[0])
            here.enter("late")
            await here.heals(f"{key} evicted", timeout_seconds=12.0)


def _losing(*which: int) -> Callable[[bytes], bool]:
    count = 0

    def loses(request: bytes) -> bool:
        nonlocal count
        if b"EVALSHA" not in request:
            return False
        count += 1
        return count in which

    return loses


def _texts(talk: FakeSocket) -> list[str]:
    return [event["text"] for event in talk.events if "text" in event]


async def _say(here: Hall, count: int) -> None:
    """Publish like the outbox: the same event again until Redis has it."""
    for _ in range(count):
        number = next(here.cluster.numbers)
        async with asyncio.timeout(20):
            while True:
                here.cluster.numbers = itertools.count(number)
                try:
                    await here.cluster.say()
                except Exception:  # noqa: BLE001 - after any exception the event is missing and must be sent again
                    await asyncio.sleep(0.05)
                else:
                    break


def _returns(here: Hall, stood: str) -> FakeSocket:
    """Return a socket that resumes on the other node from its last position."""
    node, socket = here.second, FakeSocket()
    socket.connection = node.connect(socket.writer, consumer="T", user="2", session="", close=socket.closed.append)
    at = Position.parse(stood)
    assert at is not None
    node.hub.subscribe(StreamTopic("talk"), socket.connection, Positions({"talk": at}))
    return socket
