"""The writer that uses plain `send`: messages are in order and limited, and none follow the end of the socket."""

import asyncio
from typing import Any

import pytest

from tidewire.fanout.frames import Frame, frame
from tidewire.fanout.send_writer import SendWriter


class Server:
    """The `send` of an ASGI server, which accepts a message only while `open` is set."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, message: dict[str, Any]) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        return [message.get("text", message["type"]) for message in self.sent]


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
def writer(server):
    return SendWriter(server.send)


def write(writer: SendWriter, *texts: str) -> list[Frame]:
    frames = [frame(text) for text in texts]
    writer.write(frames, b"".join(each.wire for each in frames))
    return frames


async def run_pending() -> None:
    """Run the loop until it has nothing left to do."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_frames_are_sent_in_order(writer, server):
    """Two writes are one sequence of messages."""
    write(writer, "a", "b")
    write(writer, "c")
    await run_pending()
    assert server.texts == ["a", "b", "c"]
    assert server.sent[0] == {"type": "websocket.send", "text": "a"}


async def test_the_backlog_is_what_the_server_has_not_taken(writer, server):
    """Bytes count from the write until the server has accepted the message."""
    server.open.clear()
    first, second = write(writer, "hello", "you")
    await run_pending()
    assert writer.backlog == len(first.wire) + len(second.wire)
    server.open.set()
    await run_pending()
    assert writer.backlog == 0


async def test_an_offer_over_the_limit_is_not_taken(writer, server):
    """The backlog may exceed the limit only with a single message that is larger."""
    server.open.clear()
    [large] = write(writer, "x" * 100)
    size = len(large.wire)
    assert writer.try_write([large], large.wire, 2 * size)
    assert not writer.try_write([large], large.wire, 3 * size - 1)
    assert writer.backlog == 2 * size


async def test_a_message_above_the_limit_is_taken_where_nothing_waits(writer, server):
    """A message that is larger than the limit could never be delivered otherwise."""
    server.open.clear()
    large = frame("x" * 100)
    assert writer.try_write([large], large.wire, 10)
    assert not writer.try_write([large], large.wire, 10)


async def test_a_consumer_s_own_message_comes_after_what_was_written(writer, server):
    """A close does not overtake the events before it."""
    server.open.clear()
    write(writer, "a")
    closing = asyncio.ensure_future(writer.send({"type": "websocket.close", "code": 4000}))
    await run_pending()
    assert not closing.done()
    server.open.set()
    await closing
    assert server.texts == ["a", "websocket.close"]


async def test_nothing_is_sent_after_a_close(writer, server):
    """The hub may write until the server reports the end, but servers raise an error after a close."""
    await writer.send({"type": "websocket.close", "code": 4000})
    write(writer, "late")
    await writer.send({"type": "websocket.close", "code": 4000})
    await run_pending()
    assert server.texts == ["websocket.close"]
    assert writer.backlog == 0


@pytest.mark.parametrize("error", [ConnectionResetError(), RuntimeError("after websocket.close")])
async def test_a_lost_socket_ends_the_writing(writer, server, error, caplog):
    """After any error of the server the backlog is dropped, further writes are ignored, and no traceback is logged."""
    server.error = error
    write(writer, "a", "b")
    await run_pending()
    write(writer, "c")
    await run_pending()
    assert writer.backlog == 0
    assert server.sent == []
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_cut_drops_what_waits_and_lets_the_close_through(writer, server):
    """The backlog of a stalled socket must be freed at once. With plain ASGI only a close can end the socket."""
    server.open.clear()
    write(writer, "a", "b")
    await run_pending()
    writer.abort()
    assert writer.backlog == 0
    write(writer, "c")
    server.open.set()
    await run_pending()
    await writer.send({"type": "websocket.close", "code": 4001})
    assert server.texts == ["websocket.close"]


async def test_an_idle_writer_has_no_task(writer, server):
    """A task for each of 10,000 idle sockets would waste memory."""
    write(writer, "a")
    await run_pending()
    assert asyncio.all_tasks() == {asyncio.current_task()}
