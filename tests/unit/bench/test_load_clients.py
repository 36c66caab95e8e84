"""The load generator counts exactly the correct and faulty deliveries of a server."""

import asyncio
import contextlib
import json
import socket
import struct

import pytest

from bench import load_clients
from bench.load_clients import Load, generating
from bench.server_processes import BenchError
from deploy.local.system import find_program
from tests.unit.bench.websocket_server import event, frame, serving

pytestmark = pytest.mark.skipif(find_program("cc", "gcc", "clang") is None, reason="there is no C compiler")

SECONDS = 10.0


@pytest.fixture(scope="module", autouse=True)
def _built_apart(tmp_path_factory):
    """Build the generator for these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_clients, "PROGRAM", tmp_path_factory.mktemp("bench") / "client")
        yield


@contextlib.asynccontextmanager
async def measuring(script, clients=1, head=None, **options):
    """Run the generator against a server with that script; yield the generator and its result of the handshakes."""
    more = {} if head is None else {"head": head}
    async with serving(script, **more) as port:
        load = Load(port=port, path="/ws/", clients=clients, connect_seconds=SECONDS, **options)
        async with generating(load) as running:
            yield running, await running.connected()
            with contextlib.suppress(BenchError):
                await running.stop()


async def arrived(running, events, seconds=SECONDS):
    await running.expect(events, seconds=seconds)
    return await running.arrived()


def sends(*frames):
    async def script(peer):
        await peer.send(b"".join(frames))

    return script


async def test_whole_delivery_is_counted_without_a_fault():
    async with measuring(sends(*(event(n) for n in range(10))), clients=4) as (running, connected):
        assert connected["open"] == 4
        assert connected["status"] == {"101": 4}
        assert (await arrived(running, 10))["complete"]
        report = await running.report()
    assert (report["deliveries"], report["lost"], report["duplicated"], report["reordered"]) == (40, 0, 0, 0)
    assert report["latency_ms"]["samples"] == 40


async def test_each_fault_is_counted_as_what_it_is():
    """Of four clients one misses an event, one receives an event twice, one receives two in the wrong order."""
    orders = {0: (0, 1, 3, 4), 1: (0, 1, 2, 2, 3, 4), 2: (0, 2, 1, 3, 4), 3: (0, 1, 2, 3, 4)}

    async def script(peer):
        await peer.send(b"".join(event(n) for n in orders[peer.number]))

    async with measuring(script, clients=4) as (running, _):
        waited = await arrived(running, 5, seconds=0.5)
        report = await running.report()
    assert not waited["complete"]
    assert waited["missing"] == 1
    assert (report["lost"], report["duplicated"], report["reordered"]) == (1, 1, 1)
    assert report["deliveries"] == 4 + 5 + 5 + 5


async def test_what_comes_late_is_reordered_and_not_lost():
    async with measuring(sends(event(1), event(2), event(0))) as (running, _):
        assert (await arrived(running, 3))["complete"]
        report = await running.report()
    assert (report["lost"], report["reordered"]) == (0, 1)


async def test_events_that_nobody_was_sent_are_lost_to_everybody():
    async with measuring(sends(event(0)), clients=3) as (running, _):
        await arrived(running, 1)
        waited = await arrived(running, 4, seconds=0.2)
        report = await running.report()
    assert not waited["complete"]
    assert report["lost"] == 9


async def test_latency_is_counted_from_when_the_event_was_published():
    ages = [event(n, age_seconds=age) for n, age in enumerate([0.1] * 98 + [0.5] * 2)]
    async with measuring(sends(*ages)) as (running, _):
        await arrived(running, 100)
        latency = (await running.report())["latency_ms"]
    assert 100 <= latency["p50"] < 400
    assert latency["p99"] >= 500
    assert latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p999"] <= latency["max"]


async def test_reset_forgets_latencies_and_keeps_what_was_lost():
    async with measuring(sends(event(1))) as (running, _):
        await arrived(running, 2, seconds=0.3)
        await running.reset()
        report = await running.report()
    assert report["latency_ms"]["samples"] == 0
    assert report["lost"] == 1


async def test_frames_are_read_however_they_are_cut():
    """Single bytes, several frames in one read, both extended length fields, and a message in fragments."""
    fragments = [
        frame(b'{"n":3,', final=False),
        frame(b"are you there", opcode=9),
        frame(b'"t":', opcode=0, final=False),
        frame(b"1}", opcode=0),
    ]
    data = event(0) + event(1, pad="x" * 300) + event(2, pad="x" * 70_000) + b"".join(fragments) + event(4)

    async def script(peer):
        for byte in data[:60]:
            await peer.send(bytes([byte]))
            await asyncio.sleep(0)
        await peer.send(data[60:])

    async with measuring(script) as (running, _):
        assert (await arrived(running, 5))["complete"]
        report = await running.report()
    assert (report["lost"], report["malformed"], report["pings"]) == (0, 0, 1)


async def test_ping_is_answered_with_its_own_body_masked():
    answers = asyncio.Queue()

    async def script(peer):
        await peer.send(frame(b"tide", opcode=9))
        answers.put_nowait(await peer.receive())

    async with measuring(script):
        assert await asyncio.wait_for(answers.get(), SECONDS) == (10, b"tide")


async def test_engine_io_is_joined_and_its_pings_are_answered():
    messages = asyncio.Queue()

    async def script(peer):
        await peer.send(frame(b'0{"sid":"a","pingInterval":25000}'))
        messages.put_nowait(await peer.receive())
        await peer.send(frame(b'40{"sid":"b"}') + frame(b"2"))
        messages.put_nowait(await peer.receive())
        await peer.send(frame(b'42["tick",{"n":0,"t":1}]'))

    async with measuring(script, socketio=True) as (running, connected):
        assert connected["open"] == 1
        assert (await arrived(running, 1))["complete"]
    assert [messages.get_nowait(), messages.get_nowait()] == [(1, b"40"), (1, b"3")]


async def test_refused_handshakes_are_counted_by_status():
    async def script(peer):
        peer.writer.close()

    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with measuring(script, clients=3, head=head) as (_, connected):
        assert (connected["open"], connected["refused"], connected["failed"]) == (0, 3, 0)
        assert connected["status"] == {"503": 3}


async def test_handshakes_without_an_answer_are_given_up_in_time():
    async def script(_):
        await asyncio.sleep(0)

    async with serving(script, head=b"") as port:
        load = Load(port=port, path="/ws/", clients=2, connect_seconds=0.3)
        async with generating(load) as running:
            assert (await running.connected())["failed"] == 2


async def test_each_client_sends_its_own_line_of_the_cookie_file(tmp_path):
    lines = tmp_path / "cookies.txt"
    lines.write_text("".join(f"Cookie: sessionid=user{i}\n" for i in range(3)))
    requests = []

    async def script(peer):
        requests.append(peer.request)
        await peer.send(event(0))

    async with measuring(script, clients=3, cookies=lines, headers=("X-Bench: yes",)) as (running, _):
        await arrived(running, 1)
    assert sorted(line for request in requests for line in request.splitlines() if line.startswith("Cookie")) == [
        f"Cookie: sessionid=user{i}" for i in range(3)
    ]
    assert all("X-Bench: yes\r\n" in request and request.startswith("GET /ws/ HTTP/1.1") for request in requests)


async def test_closes_are_counted_by_code():
    async def script(peer):
        await peer.send(event(0) + frame((4001).to_bytes(2, "big"), opcode=8))
        assert await peer.receive() == (8, (4001).to_bytes(2, "big"))
        peer.writer.close()

    async with measuring(script) as (running, _):
        await arrived(running, 2, seconds=0.5)
        report = await running.report()
    assert (report["closed"], report["close_codes"], report["lost"]) == (1, {"4001": 1}, 1)


async def test_stalled_clients_read_nothing_and_the_others_are_waited_for():
    """Unsent bytes fill the server's backlog until it disconnects the client, which must be counted separately."""
    piled_up = asyncio.Event()

    async def script(peer):
        peer.writer.write(event(0))
        if peer.number == 0:
            peer.writer.write(event(1, pad="x" * 8_000_000))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(peer.writer.drain(), 0.3)
            # Without this the close would be queued behind bytes that the client does not read.
            linger = struct.pack("ii", 1, 0)
            peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peer.writer.transport.abort()
            piled_up.set()
        else:
            peer.writer.write(event(1))

    async with measuring(script, clients=3, stall=1, stall_bytes=4096, concurrency=1) as (running, _):
        assert (await arrived(running, 2))["complete"]
        await asyncio.wait_for(piled_up.wait(), SECONDS)
        await arrived(running, 3, seconds=0.3)
        report = await running.report()
    assert (report["stalled"], report["stalled_closed"], report["closed"]) == (1, 1, 0)
    assert (report["deliveries"], report["lost"]) == (4, 2)


async def test_last_value_of_each_client_is_what_counts():
    async def script(peer):
        counts = (1, 2, 3) if peer.number else (1, 3, 2)
        await peer.send(b"".join(frame(json.dumps({"type": "users.count", "count": n}).encode()) for n in counts))

    async with measuring(script, clients=3, watch="count") as (running, _):
        settled = await running.value(3, seconds=0.5)
        report = await running.report()
    assert (settled["complete"], settled["missing"]) == (False, 1)
    assert report["deliveries"] == 9


def test_build_without_a_compiler_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(load_clients, "PROGRAM", tmp_path / "client")
    monkeypatch.setattr(load_clients, "find_program", lambda *_: None)
    with pytest.raises(BenchError, match="no C compiler: apt-get install"):
        load_clients.build()


def centrifugo_script(*frames, joined=b'{"id":2,"subscribe":{"epoch":"x"}}'):
    """Answer the commands of a client, then send these texts."""

    async def script(peer):
        _, commands = await peer.receive()
        peer.commands = [json.loads(line) for line in commands.splitlines()]
        COMMANDS.append(peer.commands)
        await peer.send(frame(b'{"id":1,"connect":{"client":"c"}}\n' + joined))
        for text in frames:
            await peer.send(frame(text))
        if frames and frames[-1] == b"{}":
            PONGS.append(await peer.receive())

    return script


COMMANDS: list = []
PONGS: list = []


def push(n):
    return json.dumps({"push": {"channel": "bench", "pub": {"data": {"n": n, "t": 1}, "offset": n + 1}}}).encode()


async def test_client_of_centrifugo_connects_with_its_token_and_subscribes():
    COMMANDS.clear()
    token = "t" * 200
    async with measuring(centrifugo_script(push(0)), centrifugo=token) as (running, connected):
        assert connected["open"] == 1
        assert (await arrived(running, 1))["complete"]
    assert [[{"id": 1, "connect": {"token": token}}, {"id": 2, "subscribe": {"channel": "bench"}}]] == COMMANDS


async def test_client_of_centrifugo_takes_several_events_of_a_frame_and_answers_pings():
    """Centrifugo joins lines in one frame if several wait."""
    PONGS.clear()
    frames = (push(0) + b"\n" + push(1), push(1), b"{}")
    async with measuring(centrifugo_script(*frames), centrifugo="") as (running, _):
        assert (await arrived(running, 2))["complete"]
        for _ in range(100):
            if PONGS:
                break
            await asyncio.sleep(0.05)
        report = await running.report()
    assert (report["deliveries"], report["duplicated"], report["unnumbered"], report["pings"]) == (2, 1, 0, 1)
    assert PONGS == [(1, b"{}")]


async def test_client_that_centrifugo_refuses_is_not_counted_as_open():
    with pytest.raises(BenchError, match="ended"):
        async with measuring(centrifugo_script(joined=b'{"id":2,"error":{"code":103}}'), centrifugo=""):
            pass
