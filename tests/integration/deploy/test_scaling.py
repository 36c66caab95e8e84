"""Web and ws scale independently, and every process of both must serve clients."""

import asyncio
import contextlib
from collections import Counter

import pytest

from tests.http_client import fetch, metric
from tests.sockets import event, open_socket


@pytest.fixture(scope="module")
def scaled(stack_factory):
    with stack_factory(web=3, ws=2) as stack:
        yield stack


@pytest.fixture
def stack(scaled):
    """Processes that the previous test has stopped are started again."""
    for name, process in scaled.processes.items():
        if not process.runs:
            scaled.start(name)
    return scaled


@pytest.fixture(scope="module")
def cookies(scaled):
    return scaled.cookies


async def test_web_and_ws_scale_apart(stack, cookies):
    """The stack has three web and two ws processes. Other tests have one web process and one to three ws processes."""
    pages = [await asyncio.to_thread(fetch, f"{stack.url}/login/") for _ in range(6 * len(stack.web_urls))]
    assert {page.status for page in pages} == {200}
    assert len(served_by(stack)) == len(stack.web_urls) == 3
    async with contextlib.AsyncExitStack() as opened:
        for i in range(6 * len(stack.ws)):
            cookie = cookies["ada" if i % 2 else "bob"]
            last = await opened.enter_async_context(open_socket(stack, "/ws/users/", cookie))
        await event(last, "users.count", lambda event: event["count"] == 2)
        for node in stack.ws:
            page = await asyncio.to_thread(fetch, f"http://127.0.0.1:{node.admin_port}/metrics")
            assert metric(page.text, "tidewire_connections") > 0, node.name


def served_by(stack):
    """Return the number of pages that each web process served, from its own metric."""
    counts = Counter()
    for url in stack.web_urls:
        counts[url] = metric(fetch(f"{url}/metrics").text, "tidewire_requests_total", view="login")
    return +counts


async def test_a_client_of_a_stopped_node_is_told_and_finds_another(stack, cookies):
    """The node sends the delay, closes with a reconnect code and exits 0; the client can then use the other node."""
    cookie, node = cookies["ada"], stack.ws[0]
    async with open_socket(stack, "/ws/users/", cookie, at=f"ws://127.0.0.1:{node.port}") as socket:
        stopping = asyncio.create_task(asyncio.to_thread(stack.stop_ws, 0))
        await event(socket, "drain")
        async with asyncio.timeout(10):
            await socket.wait_closed()
        assert 4000 <= socket.close_code < 4500
        assert await stopping == 0
    for _ in range(5):
        async with open_socket(stack, "/ws/users/", cookie) as socket:
            await event(socket, "users.count", lambda event: event["names"] == ["ada"])


async def test_a_killed_node_leaves_nobody_behind(stack, cookies):
    """Its members leave when its lease ends, but users that came back on another node never leave."""
    first, second = (f"ws://127.0.0.1:{node.port}" for node in stack.ws)
    async with (
        open_socket(stack, "/ws/users/", cookies["eve"], at=second) as watcher,
        open_socket(stack, "/ws/users/", cookies["ada"], at=first),
        open_socket(stack, "/ws/users/", cookies["bob"], at=first),
    ):
        await event(watcher, "users.count", lambda event: event["count"] == 3)
        assert await asyncio.to_thread(stack.stop_ws, 0, 9) == -9
        async with open_socket(stack, "/ws/users/", cookies["ada"]):
            received = await event(watcher, "users.count", lambda event: event["count"] == 2, timeout_seconds=30)
            assert set(received["names"]) == {"ada", "eve"}


async def test_a_started_node_serves_again(stack, cookies):
    assert await asyncio.to_thread(stack.stop_ws, 0) == 0
    await asyncio.to_thread(stack.start_ws, 0)
    async with open_socket(stack, "/ws/users/", cookies["ada"], at=f"ws://127.0.0.1:{stack.ws[0].port}") as socket:
        await event(socket, "users.count")


def test_pages_are_served_while_redis_is_away(stack, cookies):
    """Redis is only needed for events; pages read from the database."""
    stack.stop("redis")
    assert fetch(f"{stack.url}/", headers={"Cookie": cookies["ada"]}).status == 200
    stack.start("redis")
