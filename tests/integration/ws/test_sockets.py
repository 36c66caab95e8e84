"""Sockets through nginx and Daphne: permissions, events, and invalid input."""

import asyncio
import json
import os

import pytest
from websockets.exceptions import InvalidStatus

from tests.http_client import fetch, metric, submit
from tests.sockets import close_code, event, open_socket
from tests.stack import SESSION_COOKIE

ROUTES = ["/ws/users/", "/ws/documents/", "/ws/notifications/"]


async def create_document(stack, cookie, title):
    """Create a document through the page. Return the response to the form."""
    return await asyncio.to_thread(submit, f"{stack.url}/new/", cookie, {"title": title, "body": "Text."})


async def test_a_logged_in_user_gets_the_count(stack, cookies):
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        counted = await event(socket, "users.count", lambda event: "ada" in event["names"])
        assert counted["count"] >= 1
        assert counted["topic"] == "users"


async def test_users_on_different_nodes_are_counted_together(stack, cookies):
    first, second = (f"ws://127.0.0.1:{node.port}" for node in stack.ws)
    async with (
        open_socket(stack, "/ws/users/", cookies["ada"], at=first) as ada,
        open_socket(stack, "/ws/users/", cookies["bob"], at=second) as bob,
    ):
        for socket in (ada, bob):
            await event(socket, "users.count", lambda event: {"ada", "bob"} <= set(event["names"]))


async def test_a_socket_that_vanishes_without_a_close_frame_leaves(stack, cookies):
    """A phone without signal or a killed browser sends no close frame, and the user must leave nevertheless."""
    node = f"ws://127.0.0.1:{stack.ws[0].port}"
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as ada:
        eve = await open_socket(stack, "/ws/users/", cookies["eve"], at=node)
        await event(ada, "users.count", lambda event: "eve" in event["names"])
        eve.transport.abort()
        await event(ada, "users.count", lambda event: "eve" not in event["names"])


@pytest.mark.parametrize("route", [*ROUTES, "/ws/document/any/read/"])
async def test_an_anonymous_socket_is_closed_with_its_own_code(stack, route):
    async with open_socket(stack, route) as socket:
        assert await close_code(socket) == 4500


async def test_a_session_that_nobody_has_is_anonymous(stack):
    async with open_socket(stack, "/ws/users/", f"{SESSION_COOKIE}=00000000000000000000000000000000") as socket:
        assert await close_code(socket) == 4500


async def test_a_document_that_is_not_there_has_its_own_code(stack, cookies):
    async with open_socket(stack, "/ws/document/no-such-document/read/", cookies["ada"]) as socket:
        assert await close_code(socket) == 4504


@pytest.mark.parametrize("route", ROUTES)
async def test_another_sites_page_gets_no_socket(stack, cookies, route):
    """The script of that page would act with this site's cookies."""
    with pytest.raises(InvalidStatus) as refused:
        async with open_socket(stack, route, cookies["ada"], origin="https://evil.example"):
            pass
    assert refused.value.response.status_code == 403


async def test_the_sites_own_page_gets_a_socket(stack, cookies):
    async with open_socket(stack, "/ws/users/", cookies["ada"], origin=stack.url) as socket:
        await event(socket, "users.count")


async def test_a_notification_carries_the_request_id_that_nginx_made(stack, cookies):
    """The client's own request id must be dropped."""
    async with open_socket(stack, "/ws/notifications/", cookies["bob"]) as socket:
        await event(socket, "resumed")
        page = await asyncio.to_thread(
            submit,
            f"{stack.url}/new/",
            cookies["ada"],
            {"title": "Whose request", "body": "Text."},
            {"X-Request-ID": "mine", "X-Forwarded-For": "6.6.6.6"},
        )
        received = await event(socket, "notification.created", lambda event: event["title"] == "Whose request")
    assert received["actor"] == "ada"
    assert received["verb"] == "created"
    assert received["request_id"] == page.headers["X-Request-ID"] != "mine"


async def test_what_happened_while_away_comes_on_return(stack, cookies):
    """The page resumes from its position: the events arrive in order and once."""
    async with open_socket(stack, "/ws/notifications/", cookies["bob"]) as socket:
        position = (await event(socket, "resumed"))["at"]
    for title in ("Away 1", "Away 2"):
        await create_document(stack, cookies["ada"], title)
    async with open_socket(stack, f"/ws/notifications/?at=notifications:{position}", cookies["bob"]) as socket:
        seen = [json.loads(await asyncio.wait_for(socket.recv(), 10)) for _ in range(3)]
    assert seen[0]["type"] == "resumed"
    assert seen[0]["recovered"] is True
    assert [notification["title"] for notification in seen[1:]] == ["Away 1", "Away 2"]


async def test_an_editor_shows_on_the_document_and_on_the_list(stack, cookies):
    page = await create_document(stack, cookies["ada"], "Who edits me")
    slug = page.headers["Location"].strip("/").split("/")[-1]
    async with (
        open_socket(stack, "/ws/documents/", cookies["eve"]) as listed,
        open_socket(stack, f"/ws/document/{slug}/read/", cookies["ada"]) as reader,
    ):
        await event(reader, "document.status", lambda event: event["readers"] == ["ada"])
        async with open_socket(stack, f"/ws/document/{slug}/update/", cookies["bob"]):
            status = await event(reader, "document.status", lambda event: event["editors"] == ["bob"])
            assert status["phase"] == "update"
            await event(
                listed, "documents.status", lambda event: event["documents"].get(slug, {}).get("editors") == ["bob"]
            )
        await event(reader, "document.status", lambda event: event["phase"] == "read")


MALFORMED = [
    "",
    "not json",
    "[]",
    "null",
    '"ping"',
    "{}",
    '{"type": 1}',
    '{"type": "no.such"}',
    '{"type": "users.count", "topic": "users", "version": 1, "count": 99, "names": []}',
    '{"type": "ping", "extra": true}',
    '{"type": "ping"' + " " * 50,
    "[" * 2000,
]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
async def test_a_malformed_message_is_answered_and_the_socket_lives(stack, cookies, text):
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        await socket.send(text)
        error = await event(socket, "error")
        assert error["code"] == "malformed"
        await socket.send('{"type": "ping"}')
        await event(socket, "pong")


async def test_a_binary_message_is_answered_and_the_socket_lives(stack, cookies):
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        await socket.send(os.urandom(64))
        assert (await event(socket, "error"))["code"] == "malformed"
        await socket.send('{"type": "ping"}')
        await event(socket, "pong")


async def test_who_keeps_talking_nonsense_is_cut_for_good(stack, cookies):
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        for _ in range(5):
            await socket.send("nonsense")
        assert await close_code(socket) == 4506


async def test_who_floods_is_cut_until_later(stack, cookies):
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        for _ in range(40):
            await socket.send('{"type": "ping"}')
        assert await close_code(socket) == 4002


@pytest.mark.parametrize(
    "raw", [b"\x81\x04nope", b"\xff" * 64, b"\x83\x80\x00\x00\x00\x00", b"\x89\xff" + b"\xff" * 12]
)
async def test_bytes_that_are_no_websocket_frames_end_only_that_connection(stack, cookies, raw):
    """Unmasked, reserved and impossible frames cause a protocol error, and the next socket is served."""
    pids = [node.pid for node in stack.ws]
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        socket.transport.write(raw)
        async with asyncio.timeout(10):
            await socket.wait_closed()
    async with open_socket(stack, "/ws/users/", cookies["ada"]) as socket:
        await event(socket, "users.count")
    assert [node.pid for node in stack.ws if node.runs] == pids


async def test_a_route_that_is_not_there_has_its_own_code(stack, cookies):
    async with open_socket(stack, "/ws/nothing/", cookies["ada"]) as socket:
        assert await close_code(socket) == 4504


async def test_a_plain_request_on_a_socket_route_is_no_error(stack):
    page = await asyncio.to_thread(fetch, f"{stack.url}/ws/users/")
    assert page.status in {404, 426}


@pytest.fixture
def counted(stack):
    """Return values of the first node's metrics for sockets on the list of documents."""
    node = stack.ws[0]

    async def count(name, **labels):
        page = await asyncio.to_thread(fetch, f"http://127.0.0.1:{node.admin_port}/metrics")
        return metric(page.text, name, consumer="DocumentsConsumer", **labels)

    return count


async def until(count, expected):
    """Poll the metric, because it has no event to wait for."""
    for _ in range(200):
        if await count("tidewire_connections") == expected:
            return
        await asyncio.sleep(0.05)
    assert await count("tidewire_connections") == expected


async def test_sockets_and_connects_are_counted_by_consumer(stack, cookies, counted):
    at = f"ws://127.0.0.1:{stack.ws[0].port}"
    before = await counted("tidewire_connections")
    connects = await counted("tidewire_connects_total", result="accepted")
    async with open_socket(stack, "/ws/documents/", cookies["ada"], at=at) as socket:
        await event(socket, "documents.status")
        assert await counted("tidewire_connections") == before + 1
        assert await counted("tidewire_connects_total", result="accepted") == connects + 1
    await until(counted, before)


async def test_a_client_that_is_cut_off_is_noticed(stack, cookies, counted):
    """Its TCP connection ends without a close frame, as when the lid of a laptop is closed."""
    before = await counted("tidewire_connections")
    abnormal_closes = await counted("tidewire_closes_total", code="1006")
    socket = await open_socket(stack, "/ws/documents/", cookies["ada"], at=f"ws://127.0.0.1:{stack.ws[0].port}")
    await event(socket, "documents.status")
    socket.transport.abort()
    await until(counted, before)
    assert await counted("tidewire_closes_total", code="1006") == abnormal_closes + 1
