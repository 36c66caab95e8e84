"""Streams in Redis, which are the history of a topic."""

import asyncio

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

import tidewire.redis.clients
from tests.unit.tidewire.streams.streams_suite import StreamsSuite, said_event
from tidewire.exceptions import RedisUnavailable
from tidewire.redis.keys import Keys
from tidewire.streams.redis import RedisStreams


class InRedis(RedisStreams):
    length = 100

    def __init__(self, *, seconds: float = 60.0) -> None:
        super().__init__(Keys("t"), length=self.length, seconds=seconds)

    async def flush(self) -> None:
        await tidewire.redis.clients.client().flushall()


@pytest.fixture
def streams(redis):
    return InRedis()


class TestRedisStreams(StreamsSuite):
    @pytest.fixture
    def streams(self, redis):
        return InRedis()


async def test_events_appended_at_once_are_all_there_in_one_order(streams):
    """With many concurrent publishers, no offset may be assigned twice or skipped."""
    appended = await asyncio.gather(*(streams.append(said_event(number)) for number in range(1, 61)))
    assert sorted(each.position.offset for each in appended) == list(range(1, 61))
    _, entries = await streams.read("talk", 0, limit=100)
    assert sorted(entry.body for entry in entries) == sorted(said_event(number).body for number in range(1, 61))


async def test_an_event_appended_from_everywhere_is_appended_once(streams):
    """Two relays and a request may publish the same event at the same time."""
    appended = await asyncio.gather(*(streams.append(said_event(1)) for _ in range(20)))
    assert sum(each.new for each in appended) == 1
    assert {each.position.offset for each in appended} == {1}


async def test_what_is_remembered_of_ids_is_bounded(streams, redis):
    """The number of remembered ids must be limited by the history or two batches, not grow with the topic."""
    for first in range(0, 2000, 100):
        await streams.append_all({"talk": [said_event(number) for number in range(first, first + 100)]})
    assert await redis.zcard("t:seen:talk") == 1000


async def test_a_lost_history_keeps_the_position(streams, redis):
    """If only the history is lost, offsets must continue, so that the loss appears as a gap and not as a new stream."""
    first = await streams.append(said_event(1))
    await redis.delete("t:stream:talk", "t:seen:talk")
    second = await streams.append(said_event(2))
    assert (second.position.epoch, second.position.offset) == (first.position.epoch, 2)
    end, entries = await streams.read("talk", 0, limit=10)
    assert end == second.position
    assert [(entry.offset, entry.after) for entry in entries] == [(2, first.position.mark)]


async def test_a_lost_position_begins_a_new_epoch_without_the_old_history(streams, redis):
    """Old entries under new offsets would be mistaken for new events."""
    for number in (1, 2, 3):
        await streams.append(said_event(number))
    await redis.delete("t:position:talk")
    new = await streams.append(said_event(4))
    assert (new.new, new.position.offset) == (True, 1)
    _, entries = await streams.read("talk", 0, limit=10)
    assert [(entry.offset, entry.body) for entry in entries] == [(1, said_event(4).body)]


async def test_a_redis_user_without_dangerous_commands_can_publish(streams, redis, redis_server):
    """`INFO` is such a command."""
    first = await streams.append(said_event(1))
    await redis.acl_setuser("narrow", enabled=True, nopass=True, keys=["t:*"], commands=["+@all", "-@dangerous"])
    try:
        async with Redis(username="narrow", password="", port=redis_server.port, decode_responses=True) as narrow:
            tidewire.redis.clients._clients[asyncio.get_running_loop()] = narrow
            assert (await streams.append(said_event(2))).after == first.position.mark
    finally:
        tidewire.redis.clients._clients[asyncio.get_running_loop()] = redis
        await redis.acl_deluser("narrow")


async def test_history_expires_and_the_position_does_not(redis):
    """A topic without events must use no memory except for its position."""
    await InRedis(seconds=30.0).append(said_event(1))
    assert 0 < await redis.pttl("t:stream:talk") <= 30_000
    assert 0 < await redis.pttl("t:seen:talk") <= 3_600_000
    assert await redis.pttl("t:position:talk") > 30_000


async def test_a_topic_that_redis_refuses_does_not_hold_up_the_others(streams, redis):
    """A key of another type must fail only its own topic."""
    await streams.append(said_event(9, topic="odd"))
    await redis.set("t:stream:odd", "text")
    done = await streams.append_all(
        {"odd": [said_event(1, topic="odd", sequence=1)], "talk": [said_event(2, sequence=1)]}
    )
    assert isinstance(done["odd"], ResponseError)
    assert [each.new for each in done["talk"]] == [True]


async def test_numbered_events_that_redis_refused_are_no_repeats_later(streams, redis):
    """The history's key had another type for a while: afterwards each event must be appended once, and none dropped."""
    await streams.append(said_event(9))
    await redis.set("t:stream:talk", "text")
    numbered = [said_event(number)._replace(sequence=number) for number in range(1, 4)]
    results = await streams.append_all({"talk": numbered})
    assert isinstance(results["talk"], ResponseError)
    await redis.delete("t:stream:talk")
    results = await streams.append_all({"talk": numbered})
    assert [each.new for each in results["talk"]] == [True] * 3
    _, entries = await streams.read("talk", 0, limit=100)
    assert [entry.body for entry in entries] == [event.body for event in numbered]
    results = await streams.append_all({"talk": numbered})
    assert [each.new for each in results["talk"]] == [False] * 3


async def test_an_event_twice_in_one_batch_is_appended_once(streams):
    """The second copy must get the position of the first."""
    results = await streams.append_all({"talk": [said_event(1), said_event(2), said_event(1)]})
    assert [(each.new, each.position.offset) for each in results["talk"]] == [(True, 1), (True, 2), (False, 1)]
    assert results["talk"][2].position == results["talk"][0].position


async def test_a_topic_that_cannot_be_read_keeps_no_other_from_it(streams, redis):
    """A key of another type made every socket of the node stale, and no other topic could resume."""
    at = (await streams.append(said_event(1))).position
    await redis.set("t:position:odd", "text")
    assert await streams.ends(["odd", "talk"]) == [None, at]


async def test_a_redis_that_takes_no_writes_is_no_fault_of_a_topic(streams, redis):
    """Any publisher may retry all events later."""
    await redis.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(RedisUnavailable, match="NOREPLICAS"):
            await streams.append_all({"talk": [said_event(1, sequence=1)]})
    finally:
        await redis.config_set("min-replicas-to-write", 0)


async def test_a_redis_that_forgot_its_scripts_is_told_again(streams, redis):
    """Scripts are lost after a restart of Redis."""
    for number in (1, 2):
        await redis.script_flush()
        done = await streams.append_all({"talk": [said_event(number, sequence=number)]})
        assert [each.new for each in done["talk"]] == [True]


async def test_many_reads_at_once_wait_for_a_connection(streams):
    """If there are more commands than connections in the pool, they must wait, and none may count as an outage."""
    await streams.append(said_event(1))
    ends = await asyncio.gather(*(streams.ends(["talk"]) for _ in range(20 * tidewire.redis.clients.MAX_CONNECTIONS)))
    assert {end.offset for [end] in ends} == {1}


async def test_without_redis_every_call_says_so_soon(redis_server, streams):
    """Callers must see one exception for an unavailable Redis, whatever the client library raised."""
    await streams.append(said_event(1))
    redis_server.stop()
    for call in (streams.append(said_event(2)), streams.ends(["talk"]), streams.read("talk", 0, limit=1)):
        with pytest.raises(RedisUnavailable):
            async with asyncio.timeout(5):
                await call
    redis_server.start()
    assert (await streams.append(said_event(2))).position.offset == 1


async def test_a_paused_redis_is_noticed(redis_server, streams, monkeypatch):
    """A Redis that hangs must also count as an outage, after the timeout of a command."""
    monkeypatch.setattr(tidewire.redis.clients, "SOCKET_SECONDS", 0.2)
    await tidewire.redis.clients.close()
    await streams.append(said_event(1))
    with redis_server.paused(), pytest.raises(RedisUnavailable):
        async with asyncio.timeout(5):
            await streams.append(said_event(2))
