"""The stock version of the dashboard supports the load's journeys, so that comparisons run the same ones."""

import contextlib
import json

import pytest

from experiments.stock_dashboard.stock_stack import StockStack
from tests.http_client import fetch, submit
from tests.sockets import event, open_socket


@pytest.fixture(scope="module")
def stock(stack_factory, tmp_path_factory):
    var = tmp_path_factory.mktemp("stock") / "var"
    # The stock version has the same tables and static files.
    stack_factory.furnish(var)
    with StockStack(var, web=1, ws=2) as stack:
        yield stack


def opened(stock, path, cookie):
    # Stock Channels refuses a handshake without an Origin header.
    return open_socket(stock, path, cookie, origin=stock.url)


def said_position(stock, cookie):
    return fetch(f"{stock.url}/", headers={"Cookie": cookie}).text.partition('data-position="')[2].partition('"')[0]


async def test_event_reaches_whoever_stands_where_the_page_stood(stock):
    ada = stock.sessions("ada")["ada"]
    at = said_position(stock, ada)
    assert at.startswith("stock:")
    async with opened(stock, f"/ws/notifications/?at=notifications:{at}", ada) as socket:
        resumed = await event(socket, "resumed")
        assert (resumed["at"], resumed["recovered"]) == (at, True)
        submit(f"{stock.url}/new/", ada, {"title": "Tide table", "body": "x"})
        notification = await event(socket, "notification.created")
    newest = int(at.partition(":")[2]) + 1
    assert (notification["offset"], notification["notification_id"], notification["title"]) == (
        newest,
        newest,
        "Tide table",
    )
    async with opened(stock, f"/ws/notifications/?at=notifications:{at}", ada) as socket:
        resumed = await event(socket, "resumed")
        # The stock version has no history, and the event must report that.
        assert (resumed["at"], resumed["recovered"]) == (f"stock:{newest}", False)
        await socket.send(json.dumps({"type": "ping"}))
        await event(socket, "pong")


async def freed(stock, watching, cookie) -> bool:
    """Return whether the document is shown as free after its last user has left.

    channels_redis may lose an event while another consumer of the process ends (docs/load-testing.md counts them), and
    the event is not repeated. In that case another user comes and goes.
    """
    for _ in range(3):
        with contextlib.suppress(AssertionError):
            await event(
                watching,
                "documents.status",
                lambda status: status["documents"]["tide"]["phase"] == "free",
                timeout_seconds=5,
            )
            return True
        async with opened(stock, "/ws/document/tide/read/", cookie):
            pass
    return False


async def test_count_and_people_are_told_to_all(stock):
    cookies = stock.sessions("ada", "bob")
    async with (
        opened(stock, "/ws/users/", cookies["ada"]) as first,
        opened(stock, "/ws/documents/", cookies["ada"]) as watching,
    ):
        await event(first, "users.count", lambda message: message["count"] == 1)
        async with (
            opened(stock, "/ws/users/", cookies["bob"]),
            opened(stock, "/ws/users/", cookies["bob"]),
            opened(stock, "/ws/document/tide/update/", cookies["bob"]),
        ):
            await event(first, "users.count", lambda message: message["count"] == 2)
            status = await event(watching, "documents.status", lambda message: message["documents"]["tide"]["editors"])
            assert status["documents"]["tide"]["editors"] == ["bob"]
        await event(first, "users.count", lambda message: message["count"] == 1)
        assert await freed(stock, watching, cookies["bob"])
