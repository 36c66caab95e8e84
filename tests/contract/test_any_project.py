"""`python -m tidewire` serves a Channels project that knows nothing of tidewire: pages, sockets, metrics, a drain."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time

import psutil
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from websockets.exceptions import ConnectionClosed, InvalidStatus

from deploy.local.layout import LOOPBACK, ROOT, free_port
from testkit.frame_parser import TEXT
from testkit.websocket_client import client_frame, handshake
from tests import redis_servers
from tests.contract.chat_server import APPLICATION, ChatServer, chat_server, say
from tests.http_client import metric

ROOMS = 1000
SOCKETS_OF_EACH = 30
UPLOAD_BYTES = 3_000_000
STALLED = 5
STALLED_BYTES = 5_000_000
# Frames of 10 KB that a consumer sends: more than the buffers of a kernel take.
FLOOD_FRAMES = 2000
WAIT_SECONDS = 20.0


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    with chat_server(tmp_path_factory.mktemp("chat")) as server:
        yield server


async def until(matches, seconds=WAIT_SECONDS):
    """Wait until `matches()` is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := matches()):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    return found


@pytest.mark.parametrize("kind", ["chat", "sync"])
async def test_the_tutorial_s_chat_works_unchanged(chat, kind):
    assert chat.page("/").text == "chat"
    async with chat.sockets(f"{kind}/lobby", f"{kind}/lobby", f"{kind}/elsewhere") as (one, two, other):
        await one.send(say("hi"))
        for client in (one, two):
            assert json.loads(await asyncio.wait_for(client.recv(), WAIT_SECONDS)) == {"message": "hi"}
        await other.send(say("alone"))
        assert json.loads(await asyncio.wait_for(other.recv(), WAIT_SECONDS)) == {"message": "alone"}


@pytest.mark.parametrize("kind", ["chat", "sync"])
async def test_messages_keep_their_order_and_none_is_lost_or_doubled(chat, kind):
    async with chat.sockets(f"{kind}/order", f"{kind}/order") as (speaker, listener):
        for number in range(200):
            await speaker.send(say(str(number)))
        got = [json.loads(await asyncio.wait_for(listener.recv(), WAIT_SECONDS))["message"] for _ in range(200)]
    assert got == [str(number) for number in range(200)]


async def test_sockets_are_counted_by_their_consumer(chat):
    """The names of consumers and the codes of the project are known; a client's own code is `other`."""
    async with chat.sockets("chat/counted", "chat/counted", "sync/counted"):
        page = chat.metrics()
        assert metric(page, "tidewire_connections", consumer="ChatConsumer") == 2
        assert metric(page, "tidewire_connections", consumer="SyncChatConsumer") == 1
    async with chat.sockets("own_dispatch/counted") as (client,):
        page = chat.metrics()
        assert metric(page, "tidewire_connections", consumer="OwnDispatchConsumer") == 1
        await client.close(4999)
    async with chat.sockets("refusing") as (client,):
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 4321
    with pytest.raises(InvalidStatus):
        async with chat.socket("refusing", "?refuse"):
            pass

    def closed():
        page = chat.metrics()
        return page if metric(page, "tidewire_connections", consumer="ChatConsumer") == 0 else None

    page = await until(closed)
    assert metric(page, "tidewire_closes_total", consumer="ChatConsumer", code="1000") >= 2
    assert metric(page, "tidewire_closes_total", consumer="OwnDispatchConsumer", code="other") == 1
    assert metric(page, "tidewire_closes_total", consumer="RefusingConsumer", code="4321") == 1
    assert metric(page, "tidewire_connects_total", consumer="RefusingConsumer", result="rejected") == 1
    assert metric(page, "tidewire_connection_duration_seconds_count", consumer="ChatConsumer") >= 2


async def test_a_thousand_rooms_add_no_metric(chat):
    """A label with the name of a room would add a line to each scrape for ever."""

    async def visit(number):
        async with chat.socket(f"chat/room{number}"):
            pass

    await visit(0)
    before = len(chat.metrics().splitlines())
    for first in range(0, ROOMS, 50):
        await asyncio.gather(*(visit(number) for number in range(first, first + 50)))
    page = chat.metrics()
    assert metric(page, "tidewire_connects_total", consumer="ChatConsumer", result="accepted") >= ROOMS
    assert len(page.splitlines()) == before


def test_a_consumer_that_is_left_alone_is_named_at_the_start(chat):
    assert "OwnDispatchConsumer keeps Channels' dispatch: it has a dispatch of its own" in chat.log.read_text()
    assert "ChatConsumer keeps" not in chat.log.read_text().replace("OwnDispatchConsumer keeps", "")


def posted(port, body, *, pause_seconds=0.0):
    """Send a body in two parts, with a pause between them, and return the status line and the answer."""
    with socket.create_connection((LOOPBACK, port), timeout=WAIT_SECONDS) as client:
        head = f"POST /upload/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body[:10])
        time.sleep(pause_seconds)
        answer = b""
        try:
            client.sendall(body[10:])
            while part := client.recv(65536):
                answer += part
        except ConnectionError:
            # The server has answered and closed already.
            pass
    return answer.decode()


def test_requests_are_served_as_by_daphne(tmp_path):
    """Its deadline of a request would be 0.5 s here, and its greatest body 2.5 MB, if the project had asked for it."""
    with chat_server(tmp_path, CHAT_TIDEWIRE='{"HANDSHAKE_SECONDS": 0.5}') as server:
        assert f'{{"bytes": {UPLOAD_BYTES}}}' in posted(server.port, b"x" * UPLOAD_BYTES)
        assert '{"bytes": 20}' in posted(server.port, b"x" * 20, pause_seconds=1.5)


def test_requests_are_limited_if_the_project_asks_for_it(tmp_path):
    with chat_server(tmp_path, CHAT_TIDEWIRE='{"HANDSHAKE_SECONDS": 0.5, "LIMIT_REQUESTS": true}') as server:
        assert '"bytes"' not in posted(server.port, b"x" * UPLOAD_BYTES)
        assert '"bytes"' not in posted(server.port, b"x" * 20, pause_seconds=1.5)


@pytest.mark.parametrize("layer", ["memory", "pubsub", "core"])
@pytest.mark.parametrize("settings", ["{}", '{"ADOPT": false}'])
async def test_sigterm_closes_each_socket_with_a_code_of_the_protocol(tmp_path, layer, settings):
    """Each `disconnect` runs, no group keeps a member, and the process ends with 0. Channels' dispatch has it, too."""
    redis = LayerRedis(tmp_path, layer)
    async with redis as environment:
        environment["CHAT_TIDEWIRE"] = json.dumps(json.loads(settings) | {"DRAIN_SECONDS": 4.0})
        with chat_server(tmp_path, layer, **environment) as server:
            paths = [f"{kind}/drained" for kind in ("chat", "sync") for _ in range(SOCKETS_OF_EACH)]
            async with server.sockets(*paths) as clients:
                ended = asyncio.gather(*(code_at_end(client) for client in clients))
                status = await asyncio.to_thread(server.terminate)
                codes = await ended
            assert codes == [1012] * len(paths)
            assert status == 0
            ran = server.record.read_text().splitlines()
            assert [line.split()[0] for line in ran] == ["1012"] * len(paths)
            assert ran[-1].split()[1] == "0", "a group still has members"
            if layer == "core":
                # Keys of groups would remain with each member that did not leave.
                assert redis.server.client.keys("*group*") == []


async def code_at_end(client):
    try:
        while True:
            await client.recv()
    except ConnectionClosed:
        return client.close_code


class LayerRedis:
    """The environment of a layer, with a Redis of its own if the layer needs one."""

    def __init__(self, directory, layer):
        self.server = None
        if layer != "memory":
            if redis_servers.why_not():
                pytest.skip(redis_servers.why_not())
            self.server = redis_servers.Server(directory / "redis")

    async def __aenter__(self):
        if self.server is None:
            return {}
        self.server.start()
        await until(self.answers)
        return {"CHAT_REDIS": f"redis://{LOOPBACK}:{self.server.port}/0"}

    def answers(self):
        try:
            return self.server.client.ping()
        except RedisConnectionError:
            return False

    async def __aexit__(self, *_error):
        if self.server is not None:
            self.server.kill()


async def test_an_idle_server_makes_no_call_to_redis_and_has_no_second_process(tmp_path):
    """A node reads and writes 29 times a second, and has a watchdog process: only a live consumer needs them."""
    redis = LayerRedis(tmp_path, "pubsub")
    async with redis as environment:
        url = environment["CHAT_REDIS"]
        tidewire = json.dumps({"REDIS_URL": url})
        with chat_server(tmp_path, "pubsub", CHAT_REDIS=url, CHAT_TIDEWIRE=tidewire) as server:
            client = redis.server.client
            before = client.info("stats")["total_commands_processed"]
            await asyncio.sleep(2)
            # The INFO itself.
            assert client.info("stats")["total_commands_processed"] - before == 1
            assert len(client.client_list()) == 1
            assert psutil.Process(server.process.pid).children() == []


@pytest.mark.parametrize("settings", ["{}", '{"ADOPT": false}'])
async def test_a_client_that_does_not_read_takes_little_memory_and_is_disconnected(tmp_path, settings):
    """Daphne buffers whatever is sent: 100 MB here. A client that reads gets each frame meanwhile."""
    environment = {"CHAT_TIDEWIRE": json.dumps(json.loads(settings) | {"SLOW_CONSUMER_SECONDS": 2.0})}
    with chat_server(tmp_path, **environment) as server:
        async with server.sockets("flood/reads") as (reader,):
            await reader.send("10")
            for _ in range(10):
                await asyncio.wait_for(reader.recv(), WAIT_SECONDS)
            before = server.memory_bytes()
            stalled = [stalled_socket(server, "/ws/flood/stalled/") for _ in range(STALLED)]
            try:
                most = before
                await reader.send(str(FLOOD_FRAMES))
                for number in range(FLOOD_FRAMES):
                    assert len(await asyncio.wait_for(reader.recv(), WAIT_SECONDS)) == 10_000
                    if number % 100 == 0:
                        most = max(most, server.memory_bytes())

                def cut():
                    page = server.metrics()
                    return metric(page, "tidewire_closes_total", consumer="FloodConsumer", code="1013") == STALLED

                end = time.monotonic() + WAIT_SECONDS
                while not cut():
                    assert time.monotonic() < end, "a stalled client is still connected"
                    most = max(most, server.memory_bytes())
                    await asyncio.sleep(0.02)
                assert most - before < STALLED_BYTES
            finally:
                for client in stalled:
                    client.close()


def stalled_socket(server: ChatServer, path: str) -> socket.socket:
    """A client that asks for a flood and reads nothing of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((LOOPBACK, server.port))
    client.sendall(handshake(f"{LOOPBACK}:{server.port}", path, ""))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1)
    assert answer.split()[1] == b"101"
    client.sendall(client_frame(TEXT, str(FLOOD_FRAMES).encode()))
    return client


# --- starts that fail --------------------------------------------------------------------------------------------


def started(*arguments: str, application: str = APPLICATION, **environment: str):
    """Run a server that should end at once."""
    return subprocess.run(
        [sys.executable, "-m", "tidewire", application, "-b", LOOPBACK, "-p", str(free_port()), *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}/src:{ROOT}"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def only_line(done) -> str:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if "keeps Channels' dispatch" not in line]
    return line


def test_a_taken_admin_port_ends_the_start():
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        line = only_line(started("--admin-port", str(port)))
    assert re.fullmatch(rf"tidewire did not start: the admin port .*{port}.*already in use.*--admin-port.*", line)


def test_a_taken_port_ends_the_start():
    """The message went to the project's log, which may be a file."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        line = only_line(started("-p", str(taken.getsockname()[1])))
    assert line.startswith("tidewire did not start: ")
    assert "--port" in line


@pytest.mark.parametrize(
    ("application", "words"),
    [
        ("tests.contract.no_such.asgi:application", "tests.contract.no_such.asgi cannot be imported"),
        ("tests.contract.chat.asgi:no_such", "tests.contract.chat.asgi has no 'no_such'"),
    ],
)
def test_an_application_that_is_not_there_ends_the_start(application, words):
    line = only_line(started(application=application))
    assert line.startswith(f"tidewire did not start: {words}")


def test_django_is_set_up_before_the_application_is_imported(tmp_path):
    """An import of a model above `get_asgi_application()` is the most common failure of a start on Daphne."""
    early = "tests.contract.chat.early_asgi:application"
    settings = {"DJANGO_SETTINGS_MODULE": "tests.contract.chat.settings"}
    with chat_server(tmp_path, application=early, **settings) as server:
        assert server.page("/").text == "chat"
    line = only_line(started(application=early))
    assert "early_asgi cannot be imported" in line
    assert "DJANGO_SETTINGS_MODULE is not set: set it in the environment" in line


def test_settings_that_are_not_there_end_the_start():
    line = only_line(started(DJANGO_SETTINGS_MODULE="no.such.settings"))
    assert "No module named 'no'" in line


def test_a_channel_layer_that_cannot_be_made_ends_the_start(tmp_path):
    line = only_line(started(CHAT_LAYER="broken"))
    assert "CHANNEL_LAYERS['default']" in line


@pytest.mark.parametrize("name", ["daphne", "twisted", "autobahn"])
def test_a_missing_extra_is_named_with_its_command(tmp_path, name):
    """A package of the extra that is not installed: an import of it fails."""
    (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')\n")
    line = only_line(started(PYTHONPATH=f"{tmp_path}:{ROOT}/src:{ROOT}"))
    assert line == (
        f"tidewire did not start: the server needs {name}, which is not installed: pip install 'tidewire[daphne]'"
    )


async def test_frames_are_printed_on_demand(tmp_path):
    with chat_server(tmp_path, options=("--debug-frames",)) as server:
        async with server.sockets("chat/lobby") as (client,):
            await client.send(say("hi", token="s3cret"))
            await asyncio.wait_for(client.recv(), WAIT_SECONDS)
        shown = await until(lambda: [line for line in server.log.read_text().splitlines() if "/ws/chat/lobby/" in line])
    assert any(re.search(r' <- /ws/chat/lobby/ \d+ B :\d+ .*"token": "\*\*\*"', line) for line in shown)
    assert any(re.search(r' -> /ws/chat/lobby/ 17 B :\d+ {"message": "hi"}$', line) for line in shown)
    assert "s3cret" not in server.log.read_text()
