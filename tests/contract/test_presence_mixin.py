"""Presence of consumers of Channels on real server processes: changes, faults, a drain and a death."""

import asyncio
import contextlib
import json
import signal

import pytest

from tests.contract.chat_server import chat_server
from tests.contract.test_any_project import WAIT_SECONDS, LayerRedis

APPLICATION = "tests.contract.rooms_application:application"
SETTINGS = {"LEASE_SECONDS": 3.0, "GRACE_SECONDS": 0.5, "TOUCH_SECONDS": 0.5}


@pytest.fixture
async def nodes(tmp_path):
    """Two server processes on one Redis."""
    async with LayerRedis(tmp_path, "pubsub") as environment:
        url = environment["CHAT_REDIS"]
        settings = json.dumps({"REDIS_URL": url, **SETTINGS})
        with contextlib.ExitStack() as stack:
            started = []
            for name in ("one", "two"):
                directory = tmp_path / name
                directory.mkdir()
                server = chat_server(
                    directory, "pubsub", application=APPLICATION, CHAT_REDIS=url, CHAT_TIDEWIRE=settings
                )
                started.append(stack.enter_context(server))
            yield started


async def until_names(client, *names):
    """Read changes until these members are shown."""
    async with asyncio.timeout(WAIT_SECONDS):
        while json.loads(await client.recv()) != list(names):
            pass


@pytest.mark.parametrize("kind", ["rooms", "sync_rooms"])
async def test_members_of_all_processes_are_shown_until_their_sockets_end(nodes, kind):
    here, there = nodes
    async with here.socket(f"{kind}/lobby", "?ada") as ada:
        await until_names(ada, "ada")
        async with there.socket(f"{kind}/lobby", "?bob") as bob:
            await until_names(bob, "ada", "bob")
            await until_names(ada, "ada", "bob")
        await until_names(ada, "ada")
        # A consumer that fails gets no `websocket.disconnect`.
        async with there.socket(f"{kind}/lobby", "?eve") as eve:
            await until_names(ada, "ada", "eve")
            await eve.send("fail")
            await until_names(ada, "ada")
        async with there.socket(f"{kind}/lobby", "?dan"):
            await until_names(ada, "ada", "dan")
            there.process.send_signal(signal.SIGKILL)
            await until_names(ada, "ada")


async def test_a_drain_hands_members_over(nodes):
    here, there = nodes
    async with here.socket("rooms/lobby", "?ada") as ada, there.socket("sync_rooms/lobby", "?bob"):
        await until_names(ada, "ada", "bob")
        assert await asyncio.to_thread(there.terminate) == 0
        await until_names(ada, "ada")
