"""web and ws scale apart, and every process of either takes its part."""

import asyncio
import contextlib
from collections import Counter

import pytest

from tests.pages import fetch, metric
from tests.sockets import event, open_socket


@pytest.mark.parametrize(("web", "ws"), [(3, 1), (1, 3)])
async def test_web_and_ws_scale_apart(start_stack, web, ws):
    stack = await asyncio.to_thread(start_stack, web=web, ws=ws)
    cookies = stack.sessions("ada", "bob")
    pages = [await asyncio.to_thread(fetch, f"{stack.url}/login/") for _ in range(6 * web)]
    assert {page.status for page in pages} == {200}
    assert len(served_by(stack)) == web
    async with contextlib.AsyncExitStack() as opened:
        for i in range(6 * ws):
            cookie = cookies["ada" if i % 2 else "bob"]
            last = await opened.enter_async_context(open_socket(stack, "/ws/users/", cookie))
        await event(last, "users.count", lambda event: event["count"] == 2)
        for node in stack.ws:
            page = await asyncio.to_thread(fetch, f"http://127.0.0.1:{node.admin_port}/metrics")
            assert metric(page.text, "tidewire_connections") > 0, node.name


def served_by(stack):
    """The pages that each web process answered, by what it counts itself."""
    counts = Counter()
    for url in stack.web_urls:
        counts[url] = metric(fetch(f"{url}/metrics").text, "tidewire_requests_total", view="login")
    return +counts


async def test_a_client_of_a_stopped_node_is_told_and_finds_another(start_stack):
    """The node says when to come back, closes with a reconnect code and exits 0; the other has the client next."""
    stack = await asyncio.to_thread(start_stack, ws=2)
    cookie = stack.sessions("ada")["ada"]
    node = stack.ws[0]
    async with open_socket(stack, "/ws/users/", cookie, at=f"ws://127.0.0.1:{node.port}") as socket:
        stopping = asyncio.create_task(asyncio.to_thread(stack.stop_ws, 0))
        await event(socket, "drain")
        async with asyncio.timeout(10):
            await socket.wait_closed()
        assert 4000 <= socket.close_code < 4500
        assert await stopping == 0
    for _ in range(5):
        async with open_socket(stack, "/ws/users/", cookie) as socket:
            assert (await event(socket, "users.count"))["names"] == ["ada"]


async def test_a_killed_node_leaves_nobody_behind(start_stack):
    """Its members are gone when its lease ends, and those who came back to another node never left."""
    stack = await asyncio.to_thread(start_stack, ws=2)
    cookies = stack.sessions("ada", "bob", "eve")
    first, second = (f"ws://127.0.0.1:{node.port}" for node in stack.ws)
    async with (
        open_socket(stack, "/ws/users/", cookies["eve"], at=second) as watcher,
        open_socket(stack, "/ws/users/", cookies["ada"], at=first),
        open_socket(stack, "/ws/users/", cookies["bob"], at=first),
    ):
        await event(watcher, "users.count", lambda event: event["count"] == 3)
        assert await asyncio.to_thread(stack.stop_ws, 0, 9) == -9
        async with open_socket(stack, "/ws/users/", cookies["ada"]):
            told = await event(watcher, "users.count", lambda event: event["count"] == 2, timeout_seconds=30)
            assert set(told["names"]) == {"ada", "eve"}


async def test_a_started_node_serves_again(start_stack):
    stack = await asyncio.to_thread(start_stack, ws=1)
    cookie = stack.sessions("ada")["ada"]
    assert await asyncio.to_thread(stack.stop_ws, 0) == 0
    await asyncio.to_thread(stack.start_ws, 0)
    async with open_socket(stack, "/ws/users/", cookie) as socket:
        await event(socket, "users.count")


def test_pages_are_served_while_redis_is_away(start_stack):
    """Redis carries the news, the database the truth."""
    stack = start_stack(ws=1)
    cookie = stack.sessions("ada")["ada"]
    stack.stop("redis")
    assert fetch(f"{stack.url}/", headers={"Cookie": cookie}).status == 200
    stack.start("redis")
