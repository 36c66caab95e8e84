"""Waits of the server without a deadline: a node that hangs, a handshake that hangs."""

import asyncio
import os
import re
import signal
import time

import psutil
import pytest
from daphne.cli import CommandLineInterface

from deploy.local.layout import ROOT
from tests.sockets import event, open_socket
from tidewire.__main__ import DEFAULTS

# A stopped node refuses after 3.5 s; the rest is for a busy machine. Without that, nginx would wait for its read
# timeout.
LIVE_SECONDS = 15.0


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal")
async def test_new_sockets_pass_over_a_node_that_stands_still(start_stack):
    """If one of two ws processes hangs, every second page shows Connecting for over a minute."""
    stack = await asyncio.to_thread(start_stack, ws=2)
    cookie = (await asyncio.to_thread(stack.sessions, "ada"))["ada"]
    frozen = stack.ws[0]
    async with open_socket(stack, "/ws/users/", cookie, at=f"ws://127.0.0.1:{frozen.port}") as before:
        await event(before, "users.count")
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()

            async def arrive():
                async with open_socket(stack, "/ws/users/", cookie, open_timeout=LIVE_SECONDS) as socket:
                    await event(socket, "users.count")

            await asyncio.gather(*(arrive() for _ in range(10)))
            assert time.monotonic() - began < LIVE_SECONDS
            began = time.monotonic()
            await asyncio.gather(*(arrive() for _ in range(10)))
            assert time.monotonic() - began < LIVE_SECONDS / 3, "nothing waits for a node that refuses"
        finally:
            os.kill(frozen.pid, signal.SIGCONT)
        await before.send('{"type":"ping"}')
        await event(before, "pong")
        async with asyncio.timeout(LIVE_SECONDS):
            while True:
                try:
                    async with open_socket(stack, "/ws/users/", cookie, at=f"ws://127.0.0.1:{frozen.port}") as again:
                        await event(again, "users.count")
                        break
                except OSError:
                    await asyncio.sleep(0.1)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no such signal")
async def test_new_sockets_pass_over_a_node_whose_container_stands_still(start_stack):
    """Its watchdog stands still with it, as in a paused container or on a paused host: nothing closes its listener."""
    stack = await asyncio.to_thread(start_stack, ws=2)
    cookie = (await asyncio.to_thread(stack.sessions, "ada"))["ada"]
    node = psutil.Process(stack.ws[0].pid)
    members = [node, *node.children(recursive=True)]
    assert len(members) > 1, "there is a watchdog"

    async def arrive():
        async with open_socket(stack, "/ws/users/", cookie, open_timeout=LIVE_SECONDS) as socket:
            await event(socket, "users.count")

    for each in reversed(members):
        each.suspend()
    try:
        # The first of them may find the node; then it is marked.
        await arrive()
        began = time.monotonic()
        await asyncio.gather(*(arrive() for _ in range(20)))
        assert time.monotonic() - began < LIVE_SECONDS
    finally:
        for each in members:
            each.resume()


def test_an_idle_socket_outlives_the_proxy_s_patience():
    """Nginx has one read timeout for handshakes and idle sockets: it must be longer than two pings."""
    template = (ROOT / "deploy" / "nginx" / "tidewire.conf.template").read_text(encoding="utf-8")
    location = template.partition("location ^~ /ws/ {")[2].partition("}\n")[0]
    [read] = re.findall(r"proxy_read_timeout (\d+)s;", location)
    options = CommandLineInterface().parser.parse_args([*DEFAULTS, "ws.asgi:application"])
    assert int(read) > 2 * options.ping_interval + 2, "a share of the sockets is looked at each 2 s"
