"""Reports and commands in a real Redis."""

import asyncio

import pytest

from tidewire.contrib.operations.reports import DRAIN, LIFE_SECONDS, NodeReport, Reports
from tidewire.exceptions import RedisUnavailable
from tidewire.redis.keys import Keys

KEYS = Keys("tidewire")


def report(node="ws-0", run="aaaa", **fields):
    defaults = {
        "state": "listening",
        "up_seconds": 1,
        "connections": 0,
        "users": 0,
        "drain_seconds": 30.0,
        "stale": False,
        "backlog_bytes": 0,
        "connects_per_second": 0.0,
        "closes_per_second": 0.0,
        "deliveries_per_second": 0.0,
    }
    return NodeReport(node=node, run=run, **(defaults | fields))


@pytest.fixture
def reports(redis):
    return Reports(KEYS)


async def age(redis, run, seconds):
    await redis.zincrby(KEYS.report_times, -seconds * 1000, run)


async def test_the_last_report_of_each_node_is_read_by_name(reports):
    await reports.put(report("ws-1", "bbbb", connections=7))
    await reports.put(report("ws-0", "aaaa", connections=1))
    await reports.put(report("ws-0", "aaaa", connections=2))
    assert [(each.node, each.connections) for each in await reports.read()] == [("ws-0", 2), ("ws-1", 7)]


async def test_each_report_moves_the_topics_version(reports, redis):
    """Hubs compare the version to detect a new report."""
    versions = []
    for _ in range(3):
        await reports.put(report())
        versions.append(await redis.hget(KEYS.versions, "operations"))
    assert versions == sorted(set(versions))


async def test_who_reports_no_more_is_silent_and_then_gone(reports, redis):
    """A dead, hanging or disconnected node is shown as silent for a while."""
    await reports.put(report("ws-0", "aaaa"))
    await reports.put(report("ws-1", "bbbb"))
    await age(redis, "aaaa", 4)
    assert [(each.node, each.silent) for each in await reports.read()] == [("ws-0", True), ("ws-1", False)]
    await age(redis, "aaaa", LIFE_SECONDS)
    await reports.put(report("ws-1", "bbbb"))
    assert [each.node for each in await reports.read()] == ["ws-1"]
    assert await redis.hlen(KEYS.reports) == 1


async def test_who_was_drained_is_not_called_silent(reports, redis):
    await reports.put(report(state="drained"))
    await age(redis, "aaaa", 10)
    assert [(each.state, each.silent) for each in await reports.read()] == [("drained", False)]


@pytest.mark.parametrize("end", ["drained", "silent"])
async def test_a_run_that_ended_gives_way_to_the_next_of_its_name(reports, redis, end):
    """A supervisor restarts a drained node. Two nodes that are alive under one name must both be shown."""
    await reports.put(report("ws-0", "aaaa", state="drained" if end == "drained" else "listening"))
    await age(redis, "aaaa", 5)
    await reports.put(report("ws-0", "bbbb"))
    assert [each.run for each in await reports.read()] == ["bbbb"]
    await reports.put(report("ws-0", "cccc"))
    assert [each.run for each in await reports.read()] == ["bbbb", "cccc"]


async def test_an_order_is_told_to_one_run_of_a_node_until_it_ends(reports, redis):
    """A node that was restarted under its name must not execute a command for its predecessor."""
    await reports.send_command("aaaa", DRAIN)
    assert await reports.put(report("ws-0", "bbbb")) == ""
    assert [await reports.put(report("ws-0", "aaaa")) for _ in range(2)] == [DRAIN, DRAIN]
    assert 0 < await redis.pttl(KEYS.commands) <= 10_000


async def test_nothing_stays_when_all_nodes_are_gone(reports, redis):
    await reports.put(report())
    for key in (KEYS.reports, KEYS.report_times):
        assert 0 < await redis.pttl(key) <= LIFE_SECONDS * 1000


async def test_an_outage_has_one_name(reports, redis_server):
    """Callers that read or report must not need to handle another error."""
    redis_server.stop()
    for attempt in (reports.read(), reports.put(report()), reports.send_command("aaaa", DRAIN)):
        with pytest.raises(RedisUnavailable):
            async with asyncio.timeout(10):
                await attempt
