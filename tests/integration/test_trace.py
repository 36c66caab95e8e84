"""The request id of an edit, from nginx's log to the event in a browser, and the log lines of a socket."""

import asyncio
import contextlib
import json
import sqlite3
import time

import pytest
from websockets.exceptions import ConnectionClosed

from tests.http_client import fetch, submit
from tests.sockets import event, open_socket
from tests.stack import ONE_WORKER

TIMEOUT_SECONDS = 10.0


@pytest.fixture(scope="module")
def own_stack(stack_factory):
    """A stack with the log format of production, and with processes that a test may stop."""
    with stack_factory(ws=1, TIDEWIRE_LOG_FORMAT="json", **ONE_WORKER) as stack:
        yield stack


def lines(text):
    """Parse every line of a log as JSON. A line that is not JSON is an error."""
    return [json.loads(line) for line in text.splitlines()]


def with_id(found, request_id):
    return [line for line in found if line.get("request_id") == request_id]


def written(read, request_id, count):
    """Wait until a process has written this number of lines with an id."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while len(matching := with_id(lines(read()), request_id)) < count:
        assert time.monotonic() < end, matching
        time.sleep(0.05)
    return matching


async def test_an_edit_is_traced_by_its_request_id(own_stack):
    """Redis is unavailable at first, so that the test can read the row of the outbox before the relay publishes it."""
    stack = own_stack
    sessions = stack.cookies
    async with open_socket(stack, "/ws/notifications/", sessions["bob"]) as socket:
        await event(socket, "resumed")
        await asyncio.to_thread(stack.stop, "redis")
        page = await asyncio.to_thread(
            submit, f"{stack.url}/new/", sessions["ada"], {"title": "Traced", "body": "Text."}
        )
        assert page.status == 302
        request_id = page.headers["X-Request-ID"]
        row = outbox_row(stack, request_id)
        await asyncio.to_thread(stack.start, "redis")
        received = await event(
            socket, "notification.created", lambda each: each["title"] == "Traced", timeout_seconds=40
        )
    assert received["request_id"] == request_id
    assert row["id"] == received["id"]
    [line] = with_id(lines((stack.layout.log / "nginx-access.log").read_text()), request_id)
    assert (line["method"], line["path"], line["status"]) == ("POST", "/new/", 302)
    [made] = [line for line in with_id(lines(stack.log("web-0")), request_id) if line["event"] == "event in the outbox"]
    assert (made["event_id"], made["type"], made["topic"]) == (received["id"], "notification.created", "notifications")


def outbox_row(stack, request_id):
    with contextlib.closing(sqlite3.connect(stack.layout.var / "tidewire.sqlite3")) as database:
        rows = [json.loads(body) for (body,) in database.execute("select body from tidewire_outboxevent")]
    [found] = with_id(rows, request_id)
    return found


async def test_a_socket_logs_one_line_at_connect_and_one_at_close(own_stack):
    """Both lines have the id of nginx's line for the handshake; the second has code, reason, duration and counts."""
    stack = own_stack
    cookie = stack.cookies["eve"]
    async with open_socket(stack, "/ws/users/", cookie) as socket:
        await event(socket, "users.count")
        await socket.send('{"type":"ping"}')
        await event(socket, "pong")
        request_id = socket.response.headers["X-Request-ID"]
    connected, closed = await asyncio.to_thread(written, lambda: stack.log("ws-0"), request_id, 2)
    assert (connected["event"], connected["consumer"]) == ("connected", "UsersConsumer")
    assert (closed["event"], closed["consumer"], closed["user"]) == ("closed", "UsersConsumer", connected["user"])
    assert (closed["code"], closed["reason"], closed["received"]) == (1000, "client", 1)
    assert closed["seconds"] >= 0
    assert closed["positions"]["users"] >= 1
    [line] = await asyncio.to_thread(written, (stack.layout.log / "nginx-access.log").read_text, request_id, 1)
    assert (line["path"], line["status"]) == ("/ws/users/", 101)


def user_id(stack, name):
    with contextlib.closing(sqlite3.connect(stack.layout.var / "tidewire.sqlite3")) as database:
        [(pk,)] = database.execute("select id from auth_user where username = ?", [name])
    return str(pk)


def access_lines(stack, request_id):
    return written((stack.layout.log / "nginx-access.log").read_text, request_id, 1)


def test_the_lines_of_a_page_name_its_user_and_the_process(own_stack):
    """From nginx's line of a failed save one can go to web's lines, and to all other lines of the same user."""
    stack = own_stack
    page = submit(f"{stack.url}/new/", stack.cookies["ada"], {"title": "Traced again", "body": "Text."})
    assert "X-Tidewire-User" not in page.headers
    request_id, ada = page.headers["X-Request-ID"], user_id(stack, "ada")
    [line] = access_lines(stack, request_id)
    assert (line["status"], line["user"]) == (302, ada)
    assert line["node"]
    [made] = with_id(lines(stack.log("web-0")), request_id)
    assert (made["event"], made["user"]) == ("event in the outbox", ada)
    assert made["node"]
    # The next request of this thread has another user, or none.
    anonymous = fetch(f"{stack.url}/login/")
    assert [line["user"] for line in access_lines(stack, anonymous.headers["X-Request-ID"])] == [""]


async def test_a_refused_socket_is_one_line_with_the_id_of_its_handshake(own_stack):
    async with open_socket(own_stack, "/ws/users/") as socket:
        request_id = socket.response.headers["X-Request-ID"]
        with contextlib.suppress(ConnectionClosed):
            await socket.recv()
    [line] = await asyncio.to_thread(written, lambda: own_stack.log("ws-0"), request_id, 1)
    assert (line["event"], line["reason"]) == ("handshake refused: unauthenticated", "unauthenticated")
    assert (line["consumer"], line["node"]) == ("UsersConsumer", "ws-0")


PERSON = "zaphod.beeblebrox"
ADDRESS = "192.0.2.77"


async def test_no_line_has_a_users_name_or_address(own_stack):
    """Only nginx's own lines have addresses, as its template explains. A person acts, fails and is refused."""
    stack = own_stack
    [cookie] = (await asyncio.to_thread(stack.sessions, PERSON)).values()
    [web] = stack.web_urls
    token = await asyncio.to_thread(fetch, f"{web}/login/", headers={"Host": "localhost"})
    csrf = token.headers["Set-Cookie"].partition(";")[0]
    fields = {"username": PERSON, "password": "wrong", "csrfmiddlewaretoken": csrf.partition("=")[2]}
    statuses = []
    for url, options in (
        (f"{web}/login/", {"fields": fields, "headers": {"Cookie": csrf}}),
        (f"{web}/operations/", {"headers": {"Cookie": cookie}}),
        (f"{web}/nothing/", {"headers": {"Cookie": cookie}}),
        (f"{web}/new/", {"fields": {"title": "x"}, "headers": {"Cookie": cookie}}),
    ):
        headers = options.pop("headers") | {"Host": "localhost", "X-Real-IP": ADDRESS}
        statuses.append((await asyncio.to_thread(fetch, url, headers=headers, **options)).status)
    assert statuses == [200, 403, 404, 403]
    page = await asyncio.to_thread(submit, f"{stack.url}/new/", cookie, {"title": "Of a person", "body": "Text."})
    assert page.status == 302
    async with open_socket(stack, "/ws/users/", cookie) as socket:
        await event(socket, "users.count")
        request_id = socket.response.headers["X-Request-ID"]
    await asyncio.to_thread(written, lambda: stack.log("ws-0"), request_id, 2)
    for path in stack.layout.log.iterdir():
        text = path.read_text(errors="replace")
        assert PERSON not in text, path.name
        assert ADDRESS not in text, path.name


def test_every_process_logs_json_alone(own_stack):
    """The log must be JSON also for messages of Gunicorn, Daphne and Django."""
    for name in ("web-0", "relay", "ws-0"):
        entries = lines(own_stack.log(name))
        assert entries, name
        assert all({"event", "level", "logger", "node", "timestamp"} <= set(line) for line in entries), name
