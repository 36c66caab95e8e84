"""Failover by Sentinel: connections must move to the remaining primary, including those of the channel layers."""

import asyncio
import gc
import logging
import shutil
import warnings

import pytest
from channels.layers import get_channel_layer

import tidewire.redis.clients
from tests.integration.tidewire.test_node import Cluster, names, offsets, until
from tests.sentinels import MASTER, Sentinels
from tidewire import conf
from tidewire.exceptions import RedisUnavailable
from tidewire.presence import PresenceKey
from tidewire.redis.hosts import redis_host

PASSWORD = "s3cret"


@pytest.fixture
def sentinels(tmp_path):
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on this machine")
    with Sentinels(tmp_path / "sentinels", password=PASSWORD) as made:
        yield made


@pytest.fixture(params=["channels_redis.pubsub.RedisPubSubChannelLayer", "tidewire.layers.RedisChannelLayer"])
async def cluster(request, sentinels, settings):
    """Two nodes that can only use the Sentinels: the URL's host does not exist."""
    url = f"redis://:{PASSWORD}@no-such-host.invalid:1/0"
    settings.TIDEWIRE = settings.TIDEWIRE | {
        "REDIS_URL": url,
        "REDIS_SENTINELS": sentinels.addresses,
        "REDIS_MASTER": MASTER,
        "LEASE_SECONDS": 4.0,
        "GRACE_SECONDS": 1.0,
        "TOUCH_SECONDS": 0.2,
        "CHECK_SECONDS": 0.2,
        "COALESCE_SECONDS": 0.05,
    }
    host = redis_host(url, sentinels=sentinels.addresses, master=MASTER) | {"socket_timeout": None}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": request.param, "CONFIG": {"hosts": [host]}}}
    conf.settings.cache_clear()
    made = Cluster("ab")
    yield made
    for node in made.nodes:
        await node.stop()
    await get_channel_layer().flush()
    await tidewire.redis.clients.close()
    conf.settings.cache_clear()
    # redis-py and channels_redis leave connections to Sentinels to the garbage collector, which causes warnings.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


async def say(cluster: Cluster) -> None:
    """Publish like the outbox: the same event again until it is published."""
    number = next(cluster.numbers)
    async with asyncio.timeout(20):
        while True:
            cluster.numbers = iter([number])
            try:
                await cluster.say()
            except RedisUnavailable:
                await asyncio.sleep(0.1)
            else:
                break
    cluster.numbers = iter(range(number + 1, 1000))


# The garbage collector may also find those connections during the test.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("fault", ["killed", "paused"])
async def test_nodes_follow_to_the_new_primary(cluster, sentinels, fault, caplog):
    """No socket closes, no member leaves, no page reloads: the replica had every event, and later ones arrive."""
    first, second = cluster.nodes
    hall, talk = cluster.watch(second), cluster.listen(second)
    first.presence.join(PresenceKey("hall", "in", "ada"))
    for _ in range(3):
        await say(cluster)
    await until(lambda: names(hall) == {"ada"} and offsets(talk) == [1, 2, 3])
    await asyncio.to_thread(sentinels.wait_for_replica)
    with caplog.at_level(logging.CRITICAL):
        if fault == "killed":
            sentinels.kill(sentinels.primary)
            await _after_failover(cluster, sentinels, talk, hall)
            await _hears_hints(cluster, second, talk)
        else:
            with sentinels.paused(sentinels.primary):
                await _after_failover(cluster, sentinels, talk, hall)


def recovered(talk) -> list[bool]:
    return [event["recovered"] for event in talk.events if event["type"] == "resumed"]


async def _after_failover(cluster, sentinels, talk, hall) -> None:
    await asyncio.to_thread(sentinels.wait_for_failover)
    await say(cluster)
    await until(lambda: offsets(talk) == [1, 2, 3, 4])
    second = cluster.nodes[1]
    await until(lambda: not second.hub.stale)
    cluster.nodes[0].presence.join(PresenceKey("hall", "in", "bob"))
    await until(lambda: names(hall) == {"ada", "bob"})
    assert not [event for event in hall.events if event["type"] == "test.here" and "ada" not in event["names"]][1:]
    assert False not in recovered(talk)
    assert talk.closed == hall.closed == []


async def _hears_hints(cluster, node, talk) -> None:
    """Check that the subscription has moved too: an event must arrive without any check."""
    check, node.hub._check = node.hub._check, _nothing
    try:
        async with asyncio.timeout(15):
            while True:
                before = len(offsets(talk))
                await say(cluster)
                await asyncio.sleep(0.3)
                if len(offsets(talk)) > before:
                    return
    finally:
        node.hub._check = check


async def _nothing() -> None:
    pass
