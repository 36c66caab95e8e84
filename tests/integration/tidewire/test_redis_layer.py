"""`tidewire.layers.RedisChannelLayer` on a real Redis, beside the layer of channels_redis that it replaces."""

import asyncio
import os
import threading
import time

import pytest
import redis
from asgiref.sync import async_to_sync
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.core.exceptions import ImproperlyConfigured

from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.layers import RedisChannelLayer
from tidewire.layers.loop_layer import FORGET_SECONDS

WAIT_SECONDS = 15.0
GAP = {"type": "layer.gap"}


@pytest.fixture
async def layer(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url], capacity=5, gap_message=GAP)
    yield layer
    await layer.flush()


@pytest.fixture
async def stock(redis_server):
    layer = RedisPubSubChannelLayer(hosts=[redis_server.url])
    yield layer
    await layer.flush()


async def receive(layer, channel):
    async with asyncio.timeout(WAIT_SECONDS):
        return await layer.receive(channel)


async def until(condition):
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110  # Redis itself is asked
            await asyncio.sleep(0.02)


def number(value: int) -> dict[str, object]:
    return {"type": "chat.message", "number": value}


class TestRollingChange:
    """Pods with the stock layer and pods with this one run side by side."""

    async def test_groups_exchange_messages_both_ways(self, layer, stock):
        old, new = await stock.new_channel(), await layer.new_channel()
        await stock.group_add("room", old)
        await layer.group_add("room", new)
        # The stock layer does not wait until Redis has confirmed a subscription.
        await asyncio.sleep(0.2)
        await stock.group_send("room", number(1))
        await layer.group_send("room", number(2))
        for each, channel in ((stock, old), (layer, new)):
            assert [(await receive(each, channel))["number"] for _ in range(2)] == [1, 2]

    async def test_channels_exchange_messages_both_ways(self, layer, stock):
        old, new = await stock.new_channel(), await layer.new_channel()
        await stock.send(new, number(1))
        await layer.send(old, number(2))
        assert (await receive(layer, new))["number"] == 1
        assert (await receive(stock, old))["number"] == 2

    async def test_an_encrypted_layer_exchanges_messages_too(self, redis_server):
        keys = {"symmetric_encryption_keys": ["a secret"]}
        old = RedisPubSubChannelLayer(hosts=[redis_server.url], **keys)
        new = RedisChannelLayer(hosts=[redis_server.url], **keys)
        channel = await new.new_channel()
        await old.send(channel, number(1))
        assert (await receive(new, channel))["number"] == 1
        await old.flush()
        await new.flush()

    def test_several_hosts_have_the_channels_that_the_stock_layer_gives_them(self, redis_server):
        hosts = [redis_server.url] * 3
        new = RedisChannelLayer(hosts=hosts)

        async def shards():
            old = RedisPubSubChannelLayer(hosts=hosts)._get_layer()
            return [old._shards.index(old._get_shard(f"name-{each}")) for each in range(50)]

        assert [new.shard(f"name-{each}") for each in range(50)] == asyncio.run(shards())


async def test_the_process_has_one_subscription_for_all_its_consumers(layer, redis_server):
    channels = [await layer.new_channel() for _ in range(50)]
    for channel in channels:
        await layer.group_add("room", channel)
    assert redis_server.client.pubsub_numpat() == 1
    assert redis_server.client.pubsub_channels("*") == ["asgi__group__room"]
    await layer.send(channels[7], number(7))
    await layer.group_send("room", number(1))
    assert (await receive(layer, channels[7]))["number"] == 7
    for channel in channels:
        assert (await receive(layer, channel))["number"] == 1
    for channel in channels:
        await layer.group_discard("room", channel)
    await until(lambda: redis_server.client.pubsub_channels("*") == [])


async def test_names_with_the_characters_of_patterns_receive_their_own_messages_only(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url], prefix="a[b]*c?^\\")
    one, other = await layer.new_channel("x*"), await layer.new_channel("x?")
    await layer.send(one, number(1))
    await layer.send(other, number(2))
    assert [(await receive(layer, channel))["number"] for channel in (one, other)] == [1, 2]
    await layer.flush()


async def test_a_group_whose_name_is_a_pattern_receives_its_own_messages_only(layer):
    all_rooms, one_room = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room*", all_rooms)
    await layer.group_add("room1", one_room)
    await layer.group_send("room1", number(1))
    await layer.group_send("room*", number(2))
    await layer.group_send("room1", number(3))
    assert (await receive(layer, all_rooms))["number"] == 2
    assert [(await receive(layer, one_room))["number"] for _ in range(2)] == [1, 3]


async def test_calls_at_once_are_published_in_their_order(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url], capacity=2000)
    channel = await layer.new_channel()
    await asyncio.gather(*(layer.send(channel, number(each)) for each in range(1200)))
    assert [(await receive(layer, channel))["number"] for _ in range(1200)] == list(range(1200))
    await layer.flush()


async def test_a_connection_that_redis_closed_costs_no_message(layer, redis_server):
    channel = await layer.new_channel()
    await layer.send(channel, number(1))
    redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(0.1)
    await layer.send(channel, number(2))
    assert [(await receive(layer, channel))["number"] for _ in range(2)] == [1, 2]


async def test_each_member_gets_a_copy_of_its_own(layer):
    """A consumer that changes its message, or a list in it, changes no other's."""
    channels = [await layer.new_channel() for _ in range(2)]
    for channel in channels:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "chat.message", "users": ["ada"]})
    first = await receive(layer, channels[0])
    first["users"].append("bob")
    assert (await receive(layer, channels[1]))["users"] == ["ada"]


class TestMailbox:
    async def test_a_full_one_drops_and_counts_new_messages_and_tells_its_consumer(self, layer):
        slow, quick = await layer.new_channel(), await layer.new_channel()
        for channel in (slow, quick):
            await layer.group_add("room", channel)
        before = metrics.LAYER_DROPPED._value.get()
        for each in range(8):
            await layer.group_send("room", number(each))
            assert (await receive(layer, quick))["number"] == each
        assert [(await receive(layer, slow)).get("number") for _ in range(6)] == [0, 1, 2, 3, 4, None]
        assert metrics.LAYER_DROPPED._value.get() - before == 3
        await layer.group_send("room", number(9))
        assert (await receive(layer, slow))["number"] == 9

    async def test_a_cancelled_receive_loses_no_message(self, layer):
        """`asyncio.wait_for(receive(...))` in a loop, as people poll: the groups remain, and so do messages."""
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(layer.receive(channel), 0.01)
        waiting = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(0)
        await layer.group_send("room", number(1))
        assert (await asyncio.wait_for(waiting, WAIT_SECONDS))["number"] == 1

    async def test_a_consumer_that_never_left_its_group_is_forgotten(self, layer, redis_server, monkeypatch):
        assert FORGET_SECONDS == 60
        monkeypatch.setattr("tidewire.layers.loop_layer.FORGET_SECONDS", 0.1)
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(layer.receive(channel), 0.01)
        await until(lambda: redis_server.client.pubsub_channels("*") == [])

    async def test_two_receivers_of_a_channel_get_one_message_each(self, layer):
        channel = await layer.new_channel()
        both = [asyncio.create_task(layer.receive(channel)) for _ in range(2)]
        await asyncio.sleep(0)
        await layer.send(channel, number(1))
        await layer.send(channel, number(2))
        async with asyncio.timeout(WAIT_SECONDS):
            assert sorted(message["number"] for message in await asyncio.gather(*both)) == [1, 2]


class TestOutage:
    async def test_a_lost_subscription_comes_back_and_its_consumers_are_told(self, redis_server):
        reconnected = []
        layer = RedisChannelLayer(
            hosts=[redis_server.url], gap_message=GAP, on_reconnect=lambda: reconnected.append(True)
        )
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await receive(layer, channel) == GAP
        assert reconnected == [True]
        await layer.group_send("room", number(1))
        assert (await receive(layer, channel))["number"] == 1
        await layer.flush()

    async def test_a_restarted_redis_is_used_again(self, layer, redis_server):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        redis_server.stop()
        with pytest.raises(RedisUnavailable):
            await layer.group_send("room", number(1))
        redis_server.start()
        assert await receive(layer, channel) == GAP
        await layer.group_send("room", number(2))
        assert (await receive(layer, channel))["number"] == 2

    async def test_a_redis_that_hangs_delays_no_caller_for_long(self, layer, redis_server):
        channel = await layer.new_channel()
        with redis_server.paused():
            for call in (layer.send(channel, number(1)), layer.group_add("room", channel)):
                with pytest.raises(RedisUnavailable):
                    async with asyncio.timeout(WAIT_SECONDS):
                        await call
        await until(lambda: redis_server.client.pubsub_channels("*") == ["asgi__group__room"])

    async def test_a_hung_connection_is_found_by_a_ping(self, layer, redis_server, monkeypatch):
        monkeypatch.setattr("tidewire.layers.subscriber.PING_SECONDS", 0.2)
        channel = await layer.new_channel()
        with redis_server.paused():
            await asyncio.sleep(1)
        assert await receive(layer, channel) == GAP

    async def test_an_idle_subscription_survives_a_timeout_of_the_socket(self, redis_server):
        """The default of redis-py 8 is five seconds, which closed each idle socket with the stock layer."""
        layer = RedisChannelLayer(
            hosts=[{"address": redis_server.url, "socket_timeout": 0.2}], gap_message={"type": "layer.gap"}
        )
        channel = await layer.new_channel()
        await asyncio.sleep(1)
        await layer.send(channel, number(1))
        assert (await receive(layer, channel))["number"] == 1
        await layer.flush()


class TestSynchronousCode:
    def test_calls_through_async_to_sync_share_their_connections(self, redis_server):
        layer = RedisChannelLayer(hosts=[redis_server.url])
        send = async_to_sync(layer.group_send)
        send("room", number(0))
        before = redis_server.client.info("stats")["total_connections_received"]

        def work():
            for each in range(10):
                send("room", number(each))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # At most one connection for each thread that sends at the same time.
        assert redis_server.client.info("stats")["total_connections_received"] - before <= len(threads)
        async_to_sync(layer.flush)()

    def test_a_forked_process_sends_over_a_connection_of_its_own(self, redis_server):
        layer = RedisChannelLayer(hosts=[redis_server.url])
        async_to_sync(layer.group_send)("room", number(0))
        client = redis.Redis(port=redis_server.port)
        subscription = client.pubsub()
        subscription.subscribe("asgi__group__room")
        assert subscription.get_message(timeout=WAIT_SECONDS)["type"] == "subscribe"
        child = os.fork()
        if not child:
            code = 1
            try:
                async_to_sync(layer.group_send)("room", number(1))
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        end = time.monotonic() + WAIT_SECONDS
        while (message := subscription.get_message(timeout=1)) is None:
            assert time.monotonic() < end
        assert layer.deserialize(message["data"])["number"] == 1
        subscription.close()
        client.close()
        async_to_sync(layer.flush)()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"hosts": "redis://localhost"}, "must be a list"),
        ({"hosts": [7]}, "not a int"),
        ({"hosts": [{"address": "http://:s3cret@localhost"}]}, "cannot be read"),
        ({"hosts": [{"sentinels": [("localhost", 26379)]}]}, "needs their master_name"),
        ({"capacity": 0}, "at least 1, not 0"),
        ({"capacity": True}, "at least 1, not True"),
        ({"gap_message": {}}, 'a dict with a "type"'),
        ({"gap_message": "layer.gap"}, 'a dict with a "type"'),
        ({"gap_message": {"type": "layer.gap", "at": object()}}, '"gap_message" cannot be serialized'),
        ({"hosts": [{"address": "redis://:s3cret@localhost", "tiemout": 5}]}, "tiemout"),
        ({"hosts": [{"sentinels": [("localhost", 26379)], "master_name": "m", "tiemout": 5}]}, "tiemout"),
        ({"serializer_format": "yaml"}, "\"serializer_format\" 'yaml'"),
        ({"symmetric_encryption_keys": "s3cret"}, "must be a list of possible keys"),
        ({"on_reconnect": 7}, "a function, or the type of a message, not 7"),
        ({"prefix": None}, '"prefix" must be a text, not None'),
        ({"capcity": 7}, 'no option "capcity"'),
    ],
)
def test_a_wrong_setting_is_named(config, problem):
    with pytest.raises(ImproperlyConfigured) as raised:
        RedisChannelLayer(**config)
    assert problem in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_the_options_that_channels_redis_ignores_are_ignored():
    RedisChannelLayer(expiry=60, group_expiry=86400, channel_capacity={"http.request": 200}, on_disconnect="x")


async def test_a_channel_of_another_process_cannot_join(layer):
    with pytest.raises(RuntimeError, match=r"a channel of this process, and 'elsewhere' is none"):
        await layer.group_add("room", "elsewhere")
