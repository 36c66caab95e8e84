"""Limits that must hold in every phase, on the real server and a real Redis."""

import asyncio
import json
import logging
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID

import pytest
from channels.layers import get_channel_layer

from testkit.websocket_client import handshake
from tests.http_client import metric
from tests.integration.tidewire.conftest import _server, redis, redis_server  # noqa: F401  # fixtures
from tests.reports.rooms.rooms_server import RoomsServer
from tests.unit.tidewire.fakes import Said
from tidewire import conf
from tidewire.publishing.direct import publish_now
from tidewire.streams.redis import stream_store

logger = logging.getLogger(__name__)
pytestmark = pytest.mark.integration
SOCKETS = 60
EVENTS, EVENT_BYTES = 1000, 2000


@pytest.fixture
def server(redis_server, tmp_path):  # noqa: F811  # the fixture
    with RoomsServer(redis_server.url, tmp_path / "server.log") as running:
        yield running


@contextmanager
def silent_sockets(
    server: RoomsServer, path: str, count: int, context: ssl.SSLContext | None = None
) -> Iterator[list[socket.socket]]:
    """Open sockets that never read."""
    with ExitStack() as opened:
        sockets = []
        for number in range(count):
            client = socket.socket()
            opened.enter_context(client)
            # With a larger buffer, the client's kernel would take megabytes that the server should have to keep.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", server.port))
            if context is not None:
                client = opened.enter_context(context.wrap_socket(client))
            query = "&" if "?" in path else "?"
            client.sendall(handshake(f"127.0.0.1:{server.port}", f"{path}{query}user=u{number % 4}", ""))
            sockets.append(client)
        yield sockets


def opened(server: RoomsServer) -> float:
    return metric(server.admin("/metrics") or "", "tidewire_connections")


def waiting(server: RoomsServer) -> float:
    return metric(server.admin("/metrics") or "", "tidewire_backlog_bytes")


async def say(count: int) -> None:
    for number in range(1, count + 1):
        event = Said(id=UUID(int=number), topic="talk", text=f"{number:04}" + "x" * EVENT_BYTES)
        await publish_now(event, streams=stream_store(), layer=get_channel_layer(), prefix=conf.settings().PREFIX)
    await get_channel_layer().flush()


async def test_clients_that_resume_and_do_not_read_stay_within_the_limit_of_their_sockets(server, redis):  # noqa: F811
    """Four users with bad phones came back at once, and the node's memory grew by hundreds of megabytes."""
    await say(EVENTS)
    before = server.rss_bytes()
    with silent_sockets(server, "/streams/talk/?at=talk:0:0", SOCKETS):
        server.until(lambda: opened(server) == SOCKETS, "all are open")
        server.until(lambda: waiting(server) > SOCKETS * 100_000, "they are full")
        waits = waiting(server)
        grown = server.rss_bytes() - before
        logger.info("%d sockets: %.1f MiB wait, RSS grew by %.1f MiB", SOCKETS, waits / 2**20, grown / 2**20)
        limit = conf.settings().MAX_BACKLOG_BYTES
        assert waits <= SOCKETS * limit
        assert grown < SOCKETS * limit * 1.5 + 40 * 2**20
        # The server disconnects them as slow consumers.
        server.until(lambda: opened(server) == 0, "all are disconnected")


async def test_snapshots_that_are_not_read_stay_within_the_limit_of_their_sockets(server, redis):  # noqa: F811
    """I opened a page with sixteen large rooms on a train."""
    names = ",".join(f"{number}-big-100000" for number in range(16))
    with silent_sockets(server, f"/rooms/{names}/", 20):
        server.until(lambda: opened(server) == 20, "all are open")
        server.until(lambda: metric(server.admin("/metrics") or "", "tidewire_slow_connections") == 20, "they are full")
        waits = waiting(server)
        logger.info("20 sockets: %.1f MiB wait", waits / 2**20)
        assert waits <= 20 * conf.settings().MAX_BACKLOG_BYTES


@pytest.fixture
def certificate(tmp_path):
    """Make a certificate for the test, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl")
    path = tmp_path / "certificate.pem"
    options = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", str(path), "-out", "-"]
    completed = subprocess.run(["openssl", "req", "-x509", *options], check=True, capture_output=True, text=True)
    path.write_text(path.read_text() + completed.stdout)
    return path


async def test_the_limit_holds_over_tls_too(redis_server, redis, certificate, tmp_path):  # noqa: F811
    """A server that terminates TLS itself kept all data for clients that do not read, and disconnected none of them."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    await say(EVENTS)
    with (
        RoomsServer(redis_server.url, tmp_path / "server.log", certificate=certificate) as server,
        silent_sockets(server, "/streams/talk/?at=talk:0:0", 10, context),
    ):
        server.until(lambda: opened(server) == 10, "all are open")
        server.until(lambda: waiting(server) > 10 * 100_000, "they are full")
        assert waiting(server) <= 10 * conf.settings().MAX_BACKLOG_BYTES * 1.05, "with the bytes that TLS adds"
        server.until(lambda: opened(server) == 0, "all are disconnected")


async def test_a_slow_client_that_reads_gets_all_of_a_long_resume(server, redis):  # noqa: F811
    """A phone that reads slowly must receive its thousand events, in order and once, and must not be disconnected."""
    await say(EVENTS)
    seen: list[int] = []
    async with server.connect("/streams/talk/?at=talk:0:0", max_queue=1) as client:
        while len(seen) < EVENTS:
            event = json.loads(await asyncio.wait_for(client.recv(), 30))
            if event["type"] == "test.said":
                seen.append(int(event["text"][:4]))
                if len(seen) % 100 == 0:
                    # This sleep waits for nothing: it makes the client slow.
                    await asyncio.sleep(0.1)
    assert seen == list(range(1, EVENTS + 1))
