"""A consumer with a fault harms no other socket, though the library dispatches the events of all."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contract.chat_server import chat_server, say
from tests.contract.test_any_project import LayerRedis, stalled_socket

WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    with chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


async def received(client):
    return await asyncio.wait_for(client.recv(), WAIT_SECONDS)


async def all_see_their_own_event(server, kind):
    """Each consumer writes its name into the event, below the first level too, and sends the event."""
    names = ["ada", "ben", "cyd"]
    async with server.sockets(*(f"{kind}/room/{name}" for name in names)) as clients:
        await clients[0].send(say("hi", seen=[]))
        got = [json.loads(await received(client)) for client in clients]
    assert got == [{"message": "hi!", "seen": [name]} for name in names]


@pytest.mark.parametrize("layer", ["memory", "pubsub", "core", "shared"])
async def test_changes_of_an_event_reach_no_other_consumer(tmp_path, layer):
    async with LayerRedis(tmp_path, layer) as environment:
        with chat_server(tmp_path, layer, **environment) as server:
            for kind in ("mutating", "sync_mutating"):
                await all_see_their_own_event(server, kind)


@pytest.mark.parametrize("kind", ["mutating", "sync_mutating"])
async def test_the_check_above_detects_a_shared_event(tmp_path, kind):
    """With Channels' dispatch, which copies no event; the core layer of channels_redis shares its events, too."""
    stock = '{"ADOPT": false}'
    with chat_server(tmp_path, "shared", CHAT_TIDEWIRE=stock) as server, pytest.raises(AssertionError):
        await all_see_their_own_event(server, kind)


@pytest.mark.parametrize("kind", ["raising", "sync_raising"])
async def test_a_handler_that_raises_closes_its_own_socket(chat, kind):
    """With 1011, as in Channels; the others of the fan-out get the event, and the next one."""
    paths = [f"{each}/{kind}" for each in ("chat", "sync", kind, "sync", "chat")]
    async with chat.sockets(*paths) as clients:
        raising = clients.pop(2)
        for text in ("one", "two"):
            await clients[0].send(say(text))
            assert [json.loads(await received(client)) for client in clients] == [{"message": text}] * len(clients)
        with pytest.raises(ConnectionClosed):
            await received(raising)
        assert raising.close_code == 1011


async def test_frames_of_others_leave_before_a_long_handler_has_ended(chat):
    """A sync handler occupies Django's thread: those before it in the fan-out, and async ones, need not wait for it."""
    order = []

    async def note(name, client, frames):
        for _ in range(frames):
            text = await received(client)
            order.append((name, text))

    async with chat.sockets("sync/long", "long/long", "sync/long", "chat/long") as (before, long, after, other):
        await other.send(say("hi"))
        await asyncio.gather(
            note("before", before, 1), note("long", long, 2), note("after", after, 1), note("async", other, 1)
        )
    ended = order.index(("long", "ended"))
    early = {name for name, _ in order[:ended]}
    assert early == {"before", "long", "async"}, order
    # In the one thread of Django it waits, as with Channels.
    assert [name for name, _ in order[ended + 1 :]] == ["after"]


@pytest.mark.parametrize("kind", ["flood", "sync_flood"])
async def test_a_stalled_client_delays_no_other_socket(chat, kind):
    """A client that reads gets all frames of its own flood, in order, while another reads nothing."""
    stalled = stalled_socket(chat, f"/ws/{kind}/stalled/")
    try:
        async with chat.sockets(f"{kind}/reads", "sync/reads", "chat/reads") as (reader, sync, chatter):
            await reader.send("300")
            for _ in range(300):
                assert len(await received(reader)) == 10_000
            await chatter.send(say("hi"))
            for client in (sync, chatter):
                assert json.loads(await received(client)) == {"message": "hi"}
    finally:
        stalled.close()
