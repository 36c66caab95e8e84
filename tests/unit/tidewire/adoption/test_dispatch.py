"""Dispatch of stock consumers: the order, errors and context of Channels' own, with fewer steps."""

import asyncio
import contextvars
import threading
import time

import pytest
from asgiref.local import Local
from asgiref.sync import async_to_sync
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import channel_layers
from django.utils.module_loading import import_string

from tidewire.adoption import dispatch as dispatch_module
from tidewire.adoption import old_connections
from tidewire.adoption.dispatch import Dispatch
from tidewire.adoption.sync_dispatch import QUEUED_BYTES, SyncDispatch

NAME = contextvars.ContextVar("NAME", default="")
LOCAL = Local()
WAIT_SECONDS = 10.0


async def until(matches):
    """Wait until `matches()` is true."""
    end = time.monotonic() + WAIT_SECONDS
    while not matches():
        assert time.monotonic() < end
        await asyncio.sleep(0)


class Served:
    """A consumer that is served: messages of its client go in, messages for the client come out."""

    def __init__(self, consumer, kind=Dispatch):
        self.consumer = consumer
        self.inbox = asyncio.Queue()
        self.outbox = asyncio.Queue()
        self.dispatch = kind(consumer, self.send)
        self.task = asyncio.ensure_future(self.dispatch.serve({"type": "websocket", "name": ""}, self.inbox.get))

    async def send(self, message):
        await self.outbox.put(message)

    def client(self, kind, **fields):
        self.inbox.put_nowait({"type": f"websocket.{kind}", **fields})

    async def out(self):
        return await asyncio.wait_for(self.outbox.get(), WAIT_SECONDS)

    async def connected(self):
        self.client("connect")
        assert (await self.out())["type"] == "websocket.accept"
        return self

    async def layer_sends(self, **event):
        await self.consumer.channel_layer.send(self.consumer.channel_name, event)

    async def ended(self):
        return await asyncio.wait_for(self.task, WAIT_SECONDS)


class Chat(AsyncWebsocketConsumer):
    def __init__(self):
        super().__init__()
        self.calls = []
        self.release = asyncio.Event()

    async def disconnect(self, code):
        self.calls.append(f"disconnect {code}")

    async def receive(self, text_data=None, bytes_data=None):
        self.calls.append(text_data)
        await self.send(text_data=text_data)

    async def slow(self, event):
        self.calls.append("slow begins")
        await self.release.wait()
        self.calls.append("slow ends")

    async def quick(self, event):
        self.calls.append(f"quick {event['number']}")

    async def fails(self, event):
        raise LookupError("a fault")

    async def stops(self, event):
        raise StopConsumer


class SyncChat(WebsocketConsumer):
    def __init__(self):
        super().__init__()
        self.calls = []

    def disconnect(self, code):
        self.calls.append(f"disconnect {code}")

    def receive(self, text_data=None, bytes_data=None):
        self.calls.append(text_data)
        self.send(text_data=text_data)

    def thread(self, event):
        self.calls.append((threading.get_ident(), NAME.get(), getattr(LOCAL, "name", "")))

    def fails(self, event):
        raise LookupError("a fault")

    def floods(self, event):
        for number in range(30):
            self.send(text_data=str(number) * 100_000)


@pytest.fixture(params=[(Chat, Dispatch), (SyncChat, SyncDispatch)], ids=["async", "sync"])
async def served(request, layer):
    consumer, kind = request.param
    serving = await Served(consumer(), kind).connected()
    yield serving
    serving.task.cancel()
    await asyncio.wait([serving.task])


@pytest.fixture
def layer(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    channel_layers.backends.clear()
    yield
    channel_layers.backends.clear()


async def test_a_client_is_answered_and_its_end_ends_the_consumer(served):
    served.client("receive", text="hi")
    assert (await served.out())["text"] == "hi"
    served.client("disconnect", code=1001)
    await served.ended()
    assert served.consumer.calls == ["hi", "disconnect 1001"]


async def test_the_channel_is_released_at_the_end(served):
    """The layer would otherwise keep a queue for each closed socket, and put each message of its groups into it."""
    layer = served.consumer.channel_layer
    await layer.group_add("group", served.consumer.channel_name)
    served.client("disconnect", code=1001)
    await served.ended()
    assert served.consumer.channel_name not in layer.channels


async def test_the_channel_is_released_with_events_that_nothing_has_read(layer):
    served = await Served(Chat()).connected()
    await served.layer_sends(type="slow")
    await until(lambda: served.consumer.calls)
    for number in range(3):
        await served.layer_sends(type="quick", number=number)
    await asyncio.sleep(0.01)
    served.client("disconnect", code=1006)
    await asyncio.sleep(0.01)
    served.consumer.release.set()
    await served.ended()
    assert served.consumer.channel_name not in served.consumer.channel_layer.channels


async def test_one_handler_runs_at_a_time(layer):
    """A client's message waits for an event's handler, and the next event for the client's message."""
    served = await Served(Chat()).connected()
    await served.layer_sends(type="slow")
    await until(lambda: served.consumer.calls)
    served.client("receive", text="hi")
    await asyncio.sleep(0.05)
    assert served.consumer.calls == ["slow begins"]
    served.consumer.release.set()
    await served.out()
    assert served.consumer.calls == ["slow begins", "slow ends", "hi"]
    served.client("disconnect", code=1000)
    await served.ended()


async def test_events_keep_their_order(layer):
    served = await Served(Chat()).connected()
    for number in range(100):
        await served.layer_sends(type="quick", number=number)
    await until(lambda: len(served.consumer.calls) == 100)
    assert served.consumer.calls == [f"quick {number}" for number in range(100)]
    served.client("disconnect", code=1000)
    await served.ended()


async def test_an_error_of_a_handler_ends_the_application_with_it(served):
    """As with Channels: the server logs it, and closes the socket with 1011."""
    await served.layer_sends(type="fails")
    with pytest.raises(LookupError, match="a fault"):
        await served.ended()
    assert served.task.cancelling() == 0


async def test_an_event_without_a_handler_ends_the_application(served):
    await served.layer_sends(type="no.such")
    with pytest.raises(ValueError, match=r"No handler for message type no\.such"):
        await served.ended()


async def test_a_handler_may_stop_the_consumer(layer):
    served = await Served(Chat()).connected()
    await served.layer_sends(type="stops")
    await served.ended()


async def test_a_cancelled_application_ends_as_cancelled(served):
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.ended()


async def test_handlers_of_a_socket_share_their_context_variables(layer):
    """Log lines are often bound to a user in `connect`; here events are handled by another task."""

    class Binds(Chat):
        async def connect(self):
            NAME.set("connect")
            await self.accept()

        async def event(self, event):
            self.calls.append(NAME.get())
            NAME.set("event")

        async def receive(self, text_data=None, bytes_data=None):
            self.calls.append(NAME.get())
            NAME.set("receive")

    served = await Served(Binds()).connected()
    await served.layer_sends(type="event")
    await until(lambda: len(served.consumer.calls) == 1)
    served.client("receive", text="hi")
    await until(lambda: len(served.consumer.calls) == 2)
    await served.layer_sends(type="event")
    await until(lambda: len(served.consumer.calls) == 3)
    assert served.consumer.calls == ["connect", "event", "receive"]
    assert NAME.get() != "receive"
    served.client("disconnect", code=1000)
    await served.ended()


async def test_old_connections_are_closed_for_a_client_s_messages_and_every_100_ms_for_events(layer, monkeypatch):
    closed = []

    async def close():
        closed.append(clock[0])

    clock = [1000.0]
    monkeypatch.setattr(old_connections, "aclose_old_connections", close)
    monkeypatch.setattr(old_connections, "_clock", lambda: clock[0])
    served = await Served(Chat()).connected()
    served.client("receive", text="hi")
    await served.out()
    assert len(closed) == 2
    for step in range(10):
        clock[0] = 1000.0 + step * 0.03
        await served.layer_sends(type="quick", number=step)
        await until(lambda handled=step + 2: len(served.consumer.calls) == handled)
    assert len(closed) == 4, "at 0.12 and 0.24 s"
    served.client("disconnect", code=1000)
    await served.ended()
    assert len(closed) == 5


# --- sync consumers ----------------------------------------------------------------------------------------------


async def test_the_handlers_of_one_fan_out_take_one_change_of_threads(layer, monkeypatch):
    serving = [await Served(SyncChat(), SyncDispatch).connected() for _ in range(20)]
    batch = serving[0].dispatch._batch
    sizes = []
    run = batch._run_in_thread
    monkeypatch.setattr(batch, "_run_in_thread", lambda jobs: (sizes.append(len(jobs)), run(jobs)))
    for each in serving:
        await each.layer_sends(type="thread")
    await until(lambda: all(each.consumer.calls for each in serving))
    assert sum(sizes) == 20
    assert len(sizes) <= 2
    assert len({each.consumer.calls[0][0] for each in serving}) == 1
    for each in serving:
        each.client("disconnect", code=1000)
        await each.ended()


async def test_each_handler_runs_in_the_context_of_its_own_consumer(layer):
    """Values of a middleware, such as a language, are context variables: one batch must not mix them."""
    serving = []
    for name in ("ada", "ben"):
        NAME.set(name)
        LOCAL.name = name
        serving.append(await Served(SyncChat(), SyncDispatch).connected())
    # A socket without such a value, in the same batch as the others.
    serving.append(await contextvars.Context().run(Served, SyncChat(), SyncDispatch).connected())
    NAME.set("nothing")
    del LOCAL.name
    for each in serving:
        await each.layer_sends(type="thread")
    await until(lambda: all(each.consumer.calls for each in serving))
    assert [each.consumer.calls[0][1:] for each in serving] == [("ada", "ada"), ("ben", "ben"), ("", "")]
    for each in serving:
        each.client("disconnect", code=1000)
        await each.ended()


async def test_a_handler_may_call_the_event_loop(layer):
    """`async_to_sync(self.channel_layer.group_send)` is in each tutorial."""

    class Asks(SyncChat):
        def receive(self, text_data=None, bytes_data=None):
            async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "echo", "text": text_data})

        def echo(self, event):
            self.send(text_data=event["text"])

    served = await Served(Asks(), SyncDispatch).connected()
    served.client("receive", text="hi")
    assert (await served.out())["text"] == "hi"
    served.client("disconnect", code=1000)
    await served.ended()


async def test_an_error_of_a_send_is_raised_in_the_handler(layer):
    """Before the handshake a frame cannot be sent, and a handler may catch the server's error."""

    class Early(SyncChat):
        def connect(self):
            try:
                self.send(text_data="early")
            except ValueError as error:
                self.calls.append(str(error))
            self.accept()

    class Refuses(Served):
        async def send(self, message):
            if message["type"] == "websocket.send":
                raise ValueError("not accepted")
            await super().send(message)

    served = await Refuses(Early(), SyncDispatch).connected()
    assert served.consumer.calls == ["not accepted"]
    served.client("disconnect", code=1000)
    await served.ended()


async def test_frames_of_a_slow_client_are_bounded_and_come_in_order(layer):
    """A handler that sends megabytes waits for its client; a smaller one never stops the thread of all."""
    served = await Served(SyncChat(), SyncDispatch).connected()
    assert QUEUED_BYTES < 30 * 100_000
    await served.layer_sends(type="floods")
    got = [(await served.out())["text"] for _ in range(30)]
    assert got == [str(number) * 100_000 for number in range(30)]
    served.client("disconnect", code=1000)
    await served.ended()


async def test_a_thread_of_the_project_may_send(layer):
    served = await Served(SyncChat(), SyncDispatch).connected()
    thread = threading.Thread(target=served.consumer.send, kwargs={"text_data": "from a thread"})
    thread.start()
    assert (await served.out())["text"] == "from a thread"
    thread.join()
    served.client("disconnect", code=1000)
    await served.ended()


async def test_a_sync_consumer_cannot_send_in_the_event_loop(layer):
    """It would wait for itself; asgiref raises the same error."""
    served = await Served(SyncChat(), SyncDispatch).connected()
    with pytest.raises(RuntimeError, match="event loop"):
        served.consumer.send(text_data="x")
    served.client("disconnect", code=1000)
    await served.ended()


async def test_an_ended_application_waits_for_its_running_handler(layer):
    """A thread cannot be stopped, and its last frames must find its consumer."""

    class Long(SyncChat):
        def long(self, event):
            self.calls.append("begins")
            time.sleep(0.3)
            self.send(text_data="late")
            self.calls.append("ends")

    served = await Served(Long(), SyncDispatch).connected()
    await served.layer_sends(type="long")
    await until(lambda: served.consumer.calls)
    served.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await served.ended()
    assert served.consumer.calls == ["begins", "ends"]


def test_layers_that_copy_are_named_as_they_are():
    """A renamed class would be copied twice."""
    for name in dispatch_module._COPYING_LAYERS:
        assert import_string(name)
