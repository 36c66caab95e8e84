"""The operations page's socket on two nodes: its permissions, the status of each node, and a drain by staff."""

import asyncio
from datetime import datetime, timedelta

import pytest

from tests.http_client import fetch, submit
from tests.sockets import close_code, event, open_socket
from tests.stack import ONE_WORKER


@pytest.fixture(scope="module")
def staff(stack):
    """The sessions of the demo's users; only admin is staff."""
    return stack.cookies


async def test_it_shows_every_node_again_and_again(stack, staff):
    """Each node is listed under its own name, with its connections."""
    async with open_socket(stack, "/ws/operations/", staff["admin"]) as socket:
        first = await event(socket, "operations.status", lambda told: len(told["nodes"]) == 2)
        assert [node["node"] for node in first["nodes"]] == ["ws-0", "ws-1"]
        assert {node["state"] for node in first["nodes"]} == {"listening"}
        before = sum(node["connections"] for node in first["nodes"])
        async with open_socket(stack, "/ws/users/", staff["ada"]):
            later = await event(
                socket, "operations.status", lambda told: sum(node["connections"] for node in told["nodes"]) > before
            )
        assert later["version"] > first["version"]


@pytest.mark.parametrize(("who", "code"), [("ada", 4503), (None, 4500)])
async def test_others_are_refused(stack, staff, who, code):
    """The close code is final, so that the page does not reconnect."""
    async with open_socket(stack, "/ws/operations/", staff[who] if who else None) as socket:
        assert await close_code(socket) == code


async def test_a_ticket_opens_it_to_staff_alone(stack, staff):
    """A ticket does not contain the staff flag, so the consumer must read it from the database."""
    for who, refused in (("ada", True), ("admin", False)):
        page = await asyncio.to_thread(fetch, f"{stack.url}/", headers={"Cookie": staff[who]})
        [ticket] = [each for each in page.headers.get_all("Set-Cookie") if each.startswith("tidewire_ticket=")]
        async with open_socket(stack, "/ws/operations/", f"{staff[who]}; {ticket.partition(';')[0]}") as socket:
            if refused:
                assert await close_code(socket) == 4503
            else:
                await event(socket, "operations.status")


@pytest.mark.alone
async def test_staff_drain_one_node_and_see_it_go(start_stack):
    """The drain begins within a second, is shown until its end, and exits 0, and the other node continues."""
    stack = await asyncio.to_thread(start_stack, ws=2, TIDEWIRE_WS_DRAIN_SECONDS="4", **ONE_WORKER)
    sessions = stack.cookies
    going, staying = (f"ws://127.0.0.1:{node.port}" for node in stack.ws)
    async with open_socket(stack, "/ws/operations/", sessions["admin"], at=staying) as watch:
        sockets = [await open_socket(stack, "/ws/users/", sessions["ada"], at=going) for _ in range(30)]
        await event(watch, "operations.status", lambda told: node_of(told, "ws-0").get("connections") == 30)
        url = f"{stack.url}/operations/ws-0/drain/"
        answer = await asyncio.to_thread(submit, url, sessions["admin"], {})
        assert answer.status == 302
        await event(sockets[0], "drain")
        draining = await event(watch, "operations.status", lambda told: node_of(told, "ws-0")["state"] == "draining")
        assert node_of(draining, "ws-0")["drain_from"] == 30
        assert [await close_code(socket) for socket in sockets] == [4000] * 30
        drained = await event(watch, "operations.status", lambda told: node_of(told, "ws-0")["state"] == "drained")
        assert node_of(drained, "ws-0")["connections"] == 0
        assert await asyncio.to_thread(stack.ws[0].process.wait, 10) == 0
    assert stack.ws[1].runs
    requested = logged_at(stack.log("web-0"), "drain of ws-0 requested by user ")
    assert logged_at(stack.log("ws-0"), "draining on the command of staff") - requested < timedelta(seconds=1)


def logged_at(log, text):
    [line] = [line for line in log.splitlines() if text in line]
    return datetime.fromisoformat(line.partition(" ")[0])


def node_of(told, name):
    return next((node for node in told["nodes"] if node["node"] == name), {})
