"""Tickets between hosts with different clocks: a ticket from a host ahead survived the deactivation of its user."""

import asyncio
import dataclasses
import urllib.request
from pathlib import Path

import pytest

from tests.sockets import close_code, event, open_socket
from tests.stack import ONE_WORKER, Stack

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not LIBRARIES, reason="moving a process's clock takes libfaketime (Debian: faketime)"),
]


def moved(stack: Stack, name: str, minutes: int) -> None:
    """Set the clock of a process ahead of the others by this number of minutes."""
    running = stack.processes[name]
    faketime = {
        "LD_PRELOAD": str(LIBRARIES[-1]),
        "FAKETIME": f"{minutes:+d}m",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    environment = {**running.definition.environment, **faketime}
    running.definition = dataclasses.replace(running.definition, environment=environment)


def by_tickets(stack: Stack) -> float:
    """Return the number of handshakes that a ticket authenticated, on all nodes."""
    total = 0.0
    for node in stack.ws:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.admin_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        counted = [line for line in lines if line.startswith('tidewire_authentications_total{credential="ticket"')]
        total += sum(float(line.split()[-1]) for line in counted)
    return total


async def accepted_by_ticket(stack: Stack, cookie: str) -> None:
    """Wait for tickets: a new node reads sessions until it has Redis's clock and all revocations."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(by_tickets, stack):
            async with open_socket(stack, "/ws/users/", cookie) as socket:
                await event(socket, "users.count")


@pytest.mark.parametrize("minutes", [-5, 20])
async def test_a_ticket_ends_with_its_user_whatever_the_clocks_show(stack_factory, minutes):
    """The user is deactivated within a minute of the ticket's issue. Before that, the ticket must be accepted."""
    stack = stack_factory(ws=1, **ONE_WORKER)
    # A node behind has the same effect as a web host ahead. Gunicorn does not run with libfaketime.
    moved(stack, stack.ws[0].name, minutes)
    with stack:
        cookie = await asyncio.to_thread(stack.login, "bob")
        assert "tidewire_ticket=" in cookie
        await accepted_by_ticket(stack, cookie)
        async with open_socket(stack, "/ws/users/", cookie) as socket:
            await event(socket, "users.count")
            code = "import django; django.setup(); from django.contrib.auth.models import User; "
            code += "bob = User.objects.get(username='bob'); bob.is_active = False; bob.save()"
            await asyncio.to_thread(stack.run, "-c", code)
            assert await close_code(socket) == 4501
        async with open_socket(stack, "/ws/users/", cookie) as again:
            assert await close_code(again) == 4500
