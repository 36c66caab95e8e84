"""The channel layer beside a faulty Redis, project or process: each caller gets an answer, and no consumer is deaf."""

import asyncio
import logging
import os
import signal
import time

import pytest
from asgiref.sync import async_to_sync

from tests.integration.tidewire.test_redis_layer import GAP, WAIT_SECONDS, number, receive, until
from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.layers import RedisChannelLayer


@pytest.fixture
async def make(redis_server):
    layers = []

    def make_layer(**config):
        layers.append(RedisChannelLayer(**{"hosts": [redis_server.url]} | config))
        return layers[-1]

    yield make_layer
    for each in layers:
        await each.flush()


@pytest.mark.parametrize(
    "timeouts", [{"socket_timeout": None}, {"socket_timeout": None, "socket_connect_timeout": None}]
)
async def test_a_hanging_redis_delays_no_caller_if_the_hosts_have_no_timeout(make, redis_server, timeouts):
    """`socket_timeout: None` is the advice for the layers of channels_redis, and remains in the settings."""
    layer = make(hosts=[{"address": redis_server.url} | timeouts])
    await layer.send(await layer.new_channel(), number(1))
    with redis_server.paused():
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(RedisUnavailable):
                await layer.group_send("room", number(2))


class TestFlush:
    async def test_a_pending_call_is_told(self, make, redis_server):
        layer = make()
        await layer.new_channel()
        with redis_server.paused():
            sending = asyncio.create_task(layer.group_send("room", number(1)))
            await asyncio.sleep(0.1)
            flushing = asyncio.create_task(layer.flush())
            with pytest.raises(RedisUnavailable, match="the channel layer was closed"):
                await asyncio.wait_for(sending, WAIT_SECONDS)
        await flushing

    async def test_a_call_of_the_same_step_is_told(self, make):
        layer = make()
        await layer.new_channel()
        sending = asyncio.create_task(layer.group_send("room", number(1)))
        flushing = asyncio.create_task(layer.flush())
        with pytest.raises(RedisUnavailable, match="the channel layer was closed"):
            await asyncio.wait_for(sending, WAIT_SECONDS)
        await flushing


class TestOnReconnect:
    async def lose(self, layer, redis_server):
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: redis_server.client.pubsub_channels("*") == [])
        await until(lambda: redis_server.client.pubsub_channels("*"))
        return channel

    async def test_a_function_that_fails_is_logged(self, make, redis_server, caplog):
        def fail():
            raise ValueError("a fault of the project")

        layer = make(on_reconnect=fail)
        channel = await self.lose(layer, redis_server)
        await until(lambda: "a fault of the project" in caplog.text)
        await layer.group_send("room", number(1))
        assert (await receive(layer, channel))["number"] == 1

    async def test_a_text_is_the_type_of_a_message(self, make, redis_server):
        """As the page of channels_redis describes the option."""
        layer = make(on_reconnect="redis.reconnect", gap_message=GAP)
        channel = await self.lose(layer, redis_server)
        assert [await receive(layer, channel) for _ in range(2)] == [GAP, {"type": "redis.reconnect"}]


async def test_a_refused_subscription_names_its_reason(make, redis_server, monkeypatch):
    monkeypatch.setattr("tidewire.layers.subscriber.SUBSCRIBE_SECONDS", 1.0)
    redis_server.client.execute_command("ACL", "SETUSER", "mute", "on", ">s3cret", "~*", "resetchannels", "+@all")
    layer = make(hosts=[redis_server.url.replace("redis://", "redis://mute:s3cret@")])
    with pytest.raises(RedisUnavailable, match="NoPermissionError"):
        await layer.new_channel()


async def test_an_outage_without_a_subscription_is_no_gap(make, redis_server, monkeypatch, caplog):
    monkeypatch.setattr("tidewire.layers.loop_layer.FORGET_SECONDS", 0.1)
    layer = make(gap_message=GAP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(layer.receive("jobs"), 0.5)
    await until(lambda: redis_server.client.pubsub_channels("*") == [])
    redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    reader = layer._get_layer().shards[0].subscriber._reader
    await until(reader.done)
    receiving = asyncio.create_task(receive(layer, "jobs"))
    await until(lambda: redis_server.client.pubsub_channels("*") == ["jobs"])
    await layer.send("jobs", number(1))
    assert (await receiving)["number"] == 1
    assert caplog.records == []


async def test_a_message_of_another_key_is_dropped_and_named(make, caplog):
    """It must not end each consumer of its group."""
    layer, other = make(symmetric_encryption_keys=["a secret"]), make(symmetric_encryption_keys=["another"])
    channel = await layer.new_channel()
    before = metrics.LAYER_DROPPED._value.get()
    for _ in range(2):
        await other.send(channel, number(1))
    await layer.send(channel, number(2))
    assert (await receive(layer, channel))["number"] == 2
    assert metrics.LAYER_DROPPED._value.get() - before == 2
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "cannot be read and is dropped (InvalidToken" in record.getMessage()
    assert "symmetric_encryption_keys" in record.getMessage()


async def test_a_name_that_cannot_be_encoded_leaves_the_other_groups(make):
    """Such a name comes from a client's JSON."""
    layer = make()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    with pytest.raises(UnicodeEncodeError):
        await layer.group_add("\ud800", channel)
    assert layer._get_layer()._mailboxes[channel].groups == {"asgi__group__room"}


def test_a_process_forked_while_a_thread_sends_can_send(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url])
    send = async_to_sync(layer.group_send)
    send("room", number(0))
    with layer._senders[0]._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                send("room", number(1))
                code = 0
            finally:
                os._exit(code)
    end = time.monotonic() + WAIT_SECONDS
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        time.sleep(0.02)
    assert ended[1] == 0
    async_to_sync(layer.flush)()


def test_a_loop_that_another_thread_adds_meanwhile_is_no_error(redis_server):
    layer = RedisChannelLayer(hosts=[redis_server.url])

    class Closed:
        def is_closed(self):
            layer._layers[object()] = None
            return True

    layer._layers[Closed()] = None
    assert asyncio.run(layer.new_channel())
