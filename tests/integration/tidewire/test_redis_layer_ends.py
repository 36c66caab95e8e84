"""The ends of consumers, of their calls and of event loops beside the channel layer."""

import asyncio
import gc
import time

import pytest
from channels.consumer import AsyncConsumer

from tests.integration.tidewire.test_redis_layer import GAP, WAIT_SECONDS, number, receive, until
from tidewire.layers import RedisChannelLayer

# A poll that finds nothing ends after this.
POLL_SECONDS = 0.02


@pytest.fixture
async def layer(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url], gap_message=GAP)
    yield layer
    await layer.flush()


@pytest.fixture
def forgetting(monkeypatch):
    monkeypatch.setattr("tidewire.layers.loop_layer.FORGET_SECONDS", 0.3)


async def poll(layer, channel):
    try:
        return await asyncio.wait_for(layer.receive(channel), POLL_SECONDS)
    except TimeoutError:
        return None


class TestPolling:
    """`asyncio.wait_for(layer.receive(...))` in a loop."""

    async def test_a_message_between_two_polls_is_kept(self, layer):
        channel = await layer.new_channel()
        assert await poll(layer, channel) is None
        await layer.send(channel, number(1))
        assert (await receive(layer, channel))["number"] == 1

    async def test_a_message_between_two_polls_of_a_channel_of_all_processes_is_kept(self, layer):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(layer.receive("jobs"), 0.5)
        await layer.send("jobs", number(1))
        assert (await receive(layer, "jobs"))["number"] == 1

    async def test_a_channel_may_join_between_two_polls(self, layer):
        channel = await layer.new_channel()
        assert await poll(layer, channel) is None
        await layer.group_add("room", channel)
        await layer.group_send("room", number(1))
        assert (await receive(layer, channel))["number"] == 1

    async def test_each_poll_starts_the_time_to_forget_again(self, layer, forgetting):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        for _ in range(3):
            await poll(layer, channel)
            await asyncio.sleep(0.2)
        await layer.group_send("room", number(1))
        assert (await receive(layer, channel))["number"] == 1

    async def test_a_gap_between_two_polls_is_told(self, layer, redis_server):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        assert await poll(layer, channel) is None
        redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: redis_server.client.pubsub_channels("*") == [])
        await until(lambda: redis_server.client.pubsub_channels("*"))
        assert await receive(layer, channel) == GAP

    async def test_a_call_that_is_cancelled_while_it_subscribes_leaves_nothing(self, layer, redis_server, forgetting):
        receiving = asyncio.create_task(layer.receive("jobs"))
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        await until(lambda: not layer._get_layer()._mailboxes)
        await until(lambda: redis_server.client.pubsub_channels("*") == [])


@pytest.mark.parametrize("is_own", [True, False])
async def test_a_receiver_that_ends_leaves_the_other_one(layer, is_own):
    channel = await layer.new_channel() if is_own else "jobs"
    first, second = [asyncio.create_task(layer.receive(channel)) for _ in range(2)]
    await asyncio.sleep(0.2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await asyncio.sleep(0.1)
    await layer.send(channel, number(1))
    assert (await asyncio.wait_for(second, WAIT_SECONDS))["number"] == 1


class Failing(AsyncConsumer):
    """Joins a group, and fails at its first message: Channels has no pending `receive` to cancel then."""

    async def websocket_connect(self, _message):
        await self.channel_layer.group_add("room", self.channel_name)
        await self.send({"type": "websocket.accept"})

    async def chat_message(self, _message):
        raise ValueError("the handler has a fault")


async def test_a_consumer_that_fails_leaves_its_groups(layer, redis_server, forgetting, monkeypatch):
    monkeypatch.setattr("channels.consumer.get_channel_layer", lambda _alias: layer)
    requests, replies = asyncio.Queue(), asyncio.Queue()
    consumer = asyncio.create_task(Failing()({"type": "websocket"}, requests.get, replies.put))
    requests.put_nowait({"type": "websocket.connect"})
    await asyncio.wait_for(replies.get(), WAIT_SECONDS)
    await layer.group_send("room", number(1))
    with pytest.raises(ValueError, match="has a fault"):
        await asyncio.wait_for(consumer, WAIT_SECONDS)
    await until(lambda: redis_server.client.pubsub_channels("*") == [])
    assert not layer._get_layer()._mailboxes


async def test_a_consumer_that_ended_and_left_its_groups_is_forgotten_at_once(layer):
    async def consumer():
        await poll(layer, await layer.new_channel())

    await asyncio.create_task(consumer())
    await asyncio.sleep(0)
    assert not layer._get_layer()._mailboxes


async def test_a_flushed_layer_does_not_connect_again(layer, redis_server, forgetting, caplog):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await poll(layer, channel)
    receiving = asyncio.create_task(layer.receive("jobs"))
    await until(lambda: "jobs" in redis_server.client.pubsub_channels("*"))
    before = asyncio.all_tasks()
    await layer.flush()
    receiving.cancel()
    connects = redis_server.client.info("stats")["total_connections_received"]
    await asyncio.sleep(0.6)
    assert asyncio.all_tasks() <= before
    gc.collect()
    assert caplog.records == []
    assert redis_server.client.info("stats")["total_connections_received"] == connects


def test_a_task_may_leave_its_group_while_the_event_loop_ends(redis_server, caplog):
    layer = RedisChannelLayer(hosts=[redis_server.url])

    async def consumer(joined):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        joined.set()
        try:
            await layer.receive("jobs")
        finally:
            await asyncio.sleep(0.1)
            await layer.group_discard("room", channel)

    async def main():
        joined = asyncio.Event()
        task = asyncio.create_task(consumer(joined))
        await asyncio.wait_for(joined.wait(), WAIT_SECONDS)
        await asyncio.sleep(0.1)
        return task

    asyncio.run(main())
    assert layer._layers == {}
    gc.collect()
    assert [record.message for record in caplog.records] == []


def test_an_event_loop_may_close_while_the_layer_is_used(redis_server, caplog):
    """As `loop.run_until_complete` without `asyncio.run` does: the layer of channels_redis closes its connections."""
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loop = asyncio.new_event_loop()
    loop.run_until_complete(layer.new_channel())
    loop.run_until_complete(layer.flush())
    loop.run_until_complete(layer.new_channel())
    loop.close()
    end = time.monotonic() + WAIT_SECONDS
    while redis_server.client.pubsub_numpat():
        assert time.monotonic() < end
    assert layer._layers == {}
    del loop
    gc.collect()
    assert caplog.records == []
