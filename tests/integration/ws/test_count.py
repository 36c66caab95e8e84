"""At rest the count must be right: 200 sockets of 50 users come and go at random on two nodes.

`TIDEWIRE_COUNT_RUNS=20 make test ARGS='-k count_is_the_truth'` runs the test twenty times.
"""

import asyncio
import json
import os
import random

import pytest

from tests.http_client import fetch, metric
from tests.sockets import event, open_socket

RUNS = int(os.environ.get("TIDEWIRE_COUNT_RUNS", "1"))
USERS, SOCKETS = 50, 200
# Longer than the grace of a leave: before that, a count may still have to decrease.
REST_SECONDS = 4.0
SETTLE_SECONDS = 60.0


@pytest.fixture(scope="module")
def crowd(stack):
    """The users of the crowd, as name -> Cookie header."""
    return stack.sessions(*(f"user-{i}" for i in range(USERS)))


async def come_and_go(stack, cookie, chance):
    """Open and close a socket a few times, with and without a close frame. Return the socket if it stays open."""
    socket = None
    for _ in range(chance.randint(2, 6)):
        if socket is None:
            socket = await open_socket(stack, "/ws/users/", cookie)
        elif chance.random() < 0.3:
            # Like the closed lid of a laptop: no close frame.
            socket.transport.abort()
            socket = None
        else:
            await socket.close()
            socket = None
        await asyncio.sleep(chance.uniform(0, 0.2))
    return socket


@pytest.mark.parametrize("run", range(RUNS))
async def test_the_count_is_the_truth_at_rest(stack, cookies, crowd, run):
    """Both nodes must agree on the count, and it must not change afterwards."""
    chance = random.Random(run)
    names = list(crowd)
    nodes = [f"ws://127.0.0.1:{node.port}" for node in stack.ws]
    async with (
        open_socket(stack, "/ws/users/", cookies["ada"], at=nodes[0]) as first,
        open_socket(stack, "/ws/users/", cookies["ada"], at=nodes[1]) as second,
    ):
        left_open = await asyncio.gather(*(come_and_go(stack, crowd[names[i % USERS]], chance) for i in range(SOCKETS)))
        try:
            present = {names[i % USERS] for i, socket in enumerate(left_open) if socket} | {"ada"}
            rests = await asyncio.gather(at_rest(first), at_rest(second))
            # Checked first, because a surplus socket explains a surplus user.
            assert await open_sockets(stack) == len([socket for socket in left_open if socket]) + 2
            for each in rests:
                assert each["count"] == len(present)
                assert set(each["names"]) <= present
        finally:
            await asyncio.gather(*(socket.close() for socket in left_open if socket))
        for watcher in (first, second):
            assert (await event(watcher, "users.count", lambda event: event["count"] == 1))["names"] == ["ada"]


async def at_rest(watcher):
    """Return the last event before a pause."""
    last = None
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            try:
                last = json.loads(await asyncio.wait_for(watcher.recv(), REST_SECONDS))
            except TimeoutError:
                return last


async def open_sockets(stack):
    """Return the number of open sockets in the metrics of both nodes."""
    pages = [await asyncio.to_thread(fetch, f"http://127.0.0.1:{node.admin_port}/metrics") for node in stack.ws]
    return sum(metric(page.text, "tidewire_connections", consumer="UsersConsumer") for page in pages)
