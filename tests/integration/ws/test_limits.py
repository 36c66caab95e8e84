"""The limits of a real node: a client over a limit is disconnected with the reason and counted, and no other client."""

import asyncio
import contextlib
import secrets
import time

import pytest

from tests.http_client import fetch, metric
from tests.sockets import close_code, event, open_socket

# Shorter than a client's time for its request, so that the test can distinguish a limit from a client that gave up.
BETWEEN_BYTES_SECONDS = 0.5
HANDSHAKE_SECONDS = 10.0
HANDSHAKE = (
    "GET /ws/users/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)


@pytest.fixture
def node(stack):
    return stack.ws[0]


@pytest.fixture
def at(node):
    return f"ws://127.0.0.1:{node.port}"


@pytest.fixture
def refused(node):
    """Return how many connections the node has refused at a limit."""

    async def count(limit):
        page = await asyncio.to_thread(fetch, f"http://127.0.0.1:{node.admin_port}/metrics")
        return metric(page.text, "tidewire_limit_rejections_total", limit=limit)

    return count


@pytest.fixture
def served_quickly(stack, cookies, at):
    """A client within the limits must receive its socket within a second, whatever other clients do."""

    async def served() -> None:
        started = time.monotonic()
        async with open_socket(stack, "/ws/users/", cookies["eve"], at=at) as socket:
            await event(socket, "users.count")
            await socket.send('{"type": "ping"}')
            await event(socket, "pong")
        assert time.monotonic() - started < 1

    return served


@pytest.fixture
def open_here(stack, cookies, at):
    """Open a user's socket on the node itself, without nginx."""
    return lambda name="ada", **options: open_socket(stack, "/ws/users/", cookies[name], at=at, **options)


async def said_to(port: int, *parts: bytes, pause_seconds: float = 0.0) -> tuple[bytes, float]:
    """Send parts of bytes to a node. Return its response, and the seconds until it ended the connection."""
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.ensure_future(reader.read())
    try:
        for part in parts:
            writer.write(part)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if pause_seconds and (await asyncio.wait([answer], timeout=pause_seconds))[0]:
                break
        async with asyncio.timeout(30):
            return await answer, time.monotonic() - started
    except ConnectionResetError:
        return b"", time.monotonic() - started
    finally:
        writer.close()


@pytest.mark.alone
async def test_slow_handshakes_have_their_time_and_starve_nobody(node, served_quickly, refused):
    """A hundred clients that send single bytes are disconnected after ten seconds; others are served at once."""
    before = await refused("handshake_seconds")
    byte_by_byte = [bytes([byte]) for byte in HANDSHAKE.encode()]
    slow = [
        asyncio.ensure_future(said_to(node.port, *byte_by_byte, pause_seconds=BETWEEN_BYTES_SECONDS))
        for _ in range(100)
    ]
    await served_quickly()
    ended = await asyncio.gather(*slow)
    assert {answer.split(b"\r\n")[0] for answer, _ in ended} == {b"HTTP/1.1 408 Request Timeout"}
    assert all(HANDSHAKE_SECONDS - 0.5 < seconds < HANDSHAKE_SECONDS + 5 for _, seconds in ended)
    assert await refused("handshake_seconds") == before + 100


@pytest.mark.alone
@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        ("GET /ws/users/ HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET /" + "x" * 20_000 + " HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n" + "X-A: b\r\n" * 600 + "\r\n", 400),
        (HANDSHAKE.replace("Version: 13", "Version: 99") + "\r\n", 400),
        (HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short") + "\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n" + "x" * 3_000_000, 413),
    ],
    ids=["TLS", "no colon", "a long path", "many headers", "version", "key", "a large body"],
)
async def test_what_is_no_handshake_is_refused_with_a_status(stack, node, served_quickly, request_text, status):
    before = stack.log(node.name).count("Traceback")
    answer, seconds = await said_to(node.port, request_text.encode("latin1"))
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert seconds < 5
    await served_quickly()
    assert stack.log(node.name).count("Traceback") == before


@pytest.mark.alone
async def test_who_talks_before_the_handshake_is_answered_breaks_nothing(stack, node, served_quickly):
    """Frames right behind the request are an error: the node refuses them, or disconnects the client for a flood."""
    before = stack.log(node.name).count("Traceback")
    answer, seconds = await said_to(node.port, HANDSHAKE.encode() + b"\r\n", b"\x81\x80\0\0\0\0" * 1000)
    assert answer[:13] in {b"HTTP/1.1 400 ", b"HTTP/1.1 101 ", b""}
    assert seconds < 5
    await served_quickly()
    assert stack.log(node.name).count("Traceback") == before


@pytest.mark.parametrize("size", [5_000, 200_000, 3_000_000])
@pytest.mark.parametrize("compression", ["deflate", None])
async def test_an_oversized_message_closes_its_socket_for_good(open_here, refused, size, compression):
    """The node closes the socket with a code of its own, and never assembles 3 MB for the consumer."""
    before = await refused("message_bytes")
    async with open_here(compression=compression) as socket:
        # Random data cannot be compressed.
        with contextlib.suppress(Exception):
            await socket.send(secrets.token_hex(size // 2))
        assert await close_code(socket) == 4507
    assert await refused("message_bytes") == before + 1


async def test_a_small_frame_that_inflates_past_the_bound_closes_too(open_here):
    """The limit applies to the size that the consumer would receive."""
    async with open_here(compression="deflate") as socket:
        await socket.send("x" * 100_000)
        assert await close_code(socket) == 4507


async def test_who_floods_with_messages_is_cut_until_later(open_here):
    async with open_here() as socket:
        for _ in range(40):
            await socket.send('{"type": "ping"}')
        assert await close_code(socket) == 4002


async def test_who_floods_with_pings_is_cut_until_later(open_here, refused):
    """Pings never reach a consumer, but each would need a response."""
    before = await refused("frames_per_second")
    async with open_here() as socket:
        await event(socket, "users.count")
        socket.transport.write(b"\x89\x80\0\0\0\0" * 5000)
        assert await close_code(socket) == 4002
    assert await refused("frames_per_second") == before + 1


@pytest.mark.alone
async def test_floods_starve_nobody(open_here):
    """Twenty disconnected clients reconnect at once and send pings; other clients' responses must stay fast."""
    stop = asyncio.Event()

    async def flood() -> None:
        while not stop.is_set():
            with contextlib.suppress(Exception):
                async with open_here("bob") as socket:
                    socket.transport.write(b"\x89\x80\0\0\0\0" * 2000)
                    await close_code(socket)
            await asyncio.sleep(0.1)

    async def answers(socket) -> float:
        """Return the median response time in seconds."""
        took = []
        for _ in range(15):
            started = time.monotonic()
            await socket.send('{"type": "ping"}')
            await event(socket, "pong")
            took.append(time.monotonic() - started)
            await asyncio.sleep(0.2)
        return sorted(took)[len(took) // 2]

    async with open_here() as socket:
        quiet = await answers(socket)
    floods = [asyncio.ensure_future(flood()) for _ in range(20)]
    try:
        async with open_here() as socket:
            flooded = await answers(socket)
    finally:
        stop.set()
        await asyncio.gather(*floods)
    assert flooded < max(0.1, 3 * quiet)
