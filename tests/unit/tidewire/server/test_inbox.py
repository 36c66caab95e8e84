"""An open socket's messages are handled in order, one at a time, and its end is handled in any case."""

import asyncio
import logging

import pytest
from channels.exceptions import StopConsumer

from tidewire.server.inbox import DISCONNECT_TIMEOUT_SECONDS, MAX_WAITING_MESSAGES, Inbox


class Consumer:
    """Handles messages slowly, fails on `bad`, and stops on `disconnect`."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.failed: list[BaseException] = []

    async def handle(self, message: dict[str, str]) -> None:
        name = message["type"]
        self.log.append(f"{name} begins")
        await asyncio.sleep(1)
        if name == "bad":
            raise KeyError("a bug")
        self.log.append(f"{name} ends")
        if name == "websocket.disconnect":
            raise StopConsumer


@pytest.fixture
async def consumer():
    return Consumer()


@pytest.fixture
def inbox(consumer):
    return Inbox(consumer.handle, consumer.failed.append, lambda: consumer.log.append("flood"))


def put(inbox: Inbox, *names: str) -> None:
    for name in names:
        inbox.put_nowait({"type": name})


async def test_messages_are_handled_in_order_and_one_at_a_time(inbox, consumer):
    """The next message waits until the one before it has been handled."""
    put(inbox, "one", "two")
    await asyncio.sleep(0.5)
    put(inbox, "three")
    await asyncio.sleep(5)
    assert consumer.log == ["one begins", "one ends", "two begins", "two ends", "three begins", "three ends"]


async def test_an_idle_inbox_has_no_task(inbox, consumer):
    """A task per open socket would cost memory."""
    put(inbox, "one")
    await asyncio.sleep(2)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_nothing_is_handled_after_the_disconnect(inbox, consumer):
    """The consumer has stopped."""
    put(inbox, "websocket.disconnect", "late")
    await asyncio.sleep(5)
    assert consumer.log == ["websocket.disconnect begins", "websocket.disconnect ends"]


async def test_a_failure_is_told_and_the_disconnect_behind_it_is_handled(inbox, consumer, caplog):
    """A client may disconnect while its message is handled. A consumer that then fails must be cleaned up too."""
    with caplog.at_level(logging.CRITICAL):
        put(inbox, "bad")
        await asyncio.sleep(0.5)
        put(inbox, "websocket.disconnect")
        await asyncio.sleep(5)
    assert [str(error) for error in consumer.failed] == ["'a bug'"]
    assert consumer.log[-1] == "websocket.disconnect ends"


async def test_a_message_after_a_failure_is_handled(inbox, consumer, caplog):
    """The server reports the end of the socket later."""
    with caplog.at_level(logging.CRITICAL):
        put(inbox, "bad")
        await asyncio.sleep(2)
        put(inbox, "websocket.disconnect")
        await asyncio.sleep(2)
    assert consumer.log[-1] == "websocket.disconnect ends"


async def test_more_messages_than_may_wait_are_told_and_dropped(inbox, consumer):
    """While a handler hangs, its client's messages must not fill the queue without limit."""
    put(inbox, *["one"] * (MAX_WAITING_MESSAGES + 1))
    assert consumer.log == ["flood"]
    await asyncio.sleep(2 * MAX_WAITING_MESSAGES)
    assert consumer.log.count("one ends") == MAX_WAITING_MESSAGES


async def test_a_handler_that_hangs_is_ended_after_the_disconnect(consumer, caplog):
    """The disconnect behind it is handled."""
    log = []

    async def handle(message):
        log.append(message["type"])
        if message["type"] == "hang":
            await asyncio.Event().wait()
        if message["type"] == "websocket.disconnect":
            raise StopConsumer

    inbox = Inbox(handle, log.append, lambda: None)
    put(inbox, "hang", "websocket.disconnect")
    await asyncio.sleep(DISCONNECT_TIMEOUT_SECONDS + 1)
    assert log == ["hang", "websocket.disconnect"]


async def test_a_handler_that_stops_the_consumer_says_so(consumer):
    """The socket is closed, so no later message would be handled."""
    failed = []

    async def handle(_message):
        raise StopConsumer

    inbox = Inbox(handle, failed.append, lambda: None)
    put(inbox, "one", "two")
    await asyncio.sleep(0)
    assert failed == [None]
