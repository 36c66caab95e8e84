"""Hostile clients beside a crowd: floods, garbage, oversize messages, slow handshakes. Each is refused and counted."""

import asyncio
import contextlib
import os
import random
import time
from collections import Counter

from websockets.exceptions import ConnectionClosed, InvalidStatus

from deploy.local.layout import LOOPBACK
from testkit.websocket_client import handshake
from tests.faults.scene import people
from tests.http_client import fetch, metric
from tests.sockets import open_socket
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings

SECONDS = 20.0
# The close code of each attack, and the metric that counts it by reason.
CODES = {
    "flood": int(CloseCode.FLOODING),
    "malformed": int(CloseCode.MALFORMED),
    "oversize": int(CloseCode.TOO_LARGE),
}
COUNTED = {
    "flood": ("tidewire_messages_rejected_total", {"reason": "flooding"}),
    "malformed": ("tidewire_messages_rejected_total", {"reason": "malformed"}),
    "garbage": ("tidewire_limit_rejections_total", {"limit": "protocol"}),
    "oversize": ("tidewire_limit_rejections_total", {"limit": "message_bytes"}),
    "slow handshakes": ("tidewire_limit_rejections_total", {"limit": "handshake_seconds"}),
}
# Allowance for a client that is late because the machine is busy.
NOTICED_SECONDS = 0.5


async def flood(stack, page):
    """Send pings as fast as possible until the server closes the socket. Return the close code."""
    with contextlib.suppress(InvalidStatus):
        async with open_socket(stack, page.path, page.cookie) as wire:
            try:
                while True:
                    await wire.send('{"type":"ping"}')
                    # Otherwise this client would never read, and lose the close frame because of the reset that
                    # follows.
                    await asyncio.sleep(0)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
    return 0


async def misspeak(stack, page, text):
    """Send texts that are not messages, one after another. Return the close code."""
    with contextlib.suppress(InvalidStatus):
        async with open_socket(stack, page.path, page.cookie) as wire:
            try:
                while True:
                    await wire.send(text)
                    await asyncio.sleep(0.15)
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
    return 0


async def babble(stack, page):
    """Complete a handshake, then send bytes that are not frames. Return 1 if the server ended the connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, stack.layout.ports.nginx)
    writer.write(handshake(f"localhost:{stack.layout.ports.nginx}", page.path, page.cookie))
    await reader.readuntil(b"\r\n\r\n")
    # Reserved bits, which are invalid at the start of a frame.
    writer.write(b"\xff" + os.urandom(200))
    try:
        async with asyncio.timeout(10):
            while await reader.read(4096):
                pass
    except OSError:
        pass
    except TimeoutError:
        return 0
    finally:
        writer.close()
    return 1


async def oversize(stack, page, size):
    """Send one message of this number of bytes. Return the close code."""
    with contextlib.suppress(InvalidStatus):
        async with open_socket(stack, page.path, page.cookie) as wire:
            try:
                await wire.send("x" * size)
                while True:
                    await wire.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006
    return 0


async def dawdle(port, page, seconds):
    """Send a handshake at a byte per second. Return the seconds until the server ended it."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    began = time.monotonic()
    request = handshake(f"localhost:{port}", page.path, page.cookie)
    ended = asyncio.ensure_future(reader.read(1))
    try:
        for byte in request:
            if time.monotonic() - began > seconds:
                return seconds
            writer.write(bytes((byte,)))
            done, _ = await asyncio.wait({ended}, timeout=1.0)
            if done:
                break
    except OSError:
        pass
    finally:
        ended.cancel()
        writer.close()
    return time.monotonic() - began


async def again_and_again(seconds, attack):
    """Repeat the attack until the time is over. Return the counts of its results."""
    ends = Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            ends[await attack()] += 1
        except OSError as error:
            ends[type(error).__name__] += 1
        await asyncio.sleep(0.2)
    return ends


def counted(stack, name, **labels):
    pages = [fetch(f"http://{LOOPBACK}:{node.admin_port}/metrics") for node in stack.ws]
    return sum(metric(page.text, name, **labels) for page in pages)


async def attack(run, stack, name, attackers, seconds):
    """Run all attackers concurrently, while the crowd's latency is measured."""
    run.crowd.ask("mark", span=name)
    ends = await asyncio.gather(*(again_and_again(seconds, attacker) for attacker in attackers))
    run.crowd.ask("mark", span="between")
    return sum(ends, Counter())


def test_hostile_clients(start_stack, scene, size):
    """Each attack is refused with its reason and counted, all processes stay up, and the others' p99 stays low."""
    stack = start_stack(ws=2)
    pages = people(stack, size(150, 30))
    villains = people(stack, 20, prefix="villain", paths=("/ws/users/",))
    chance = random.Random(0)
    with scene(stack, "Floods, garbage, oversize, slow handshakes", pages=pages, per_second=20, order=46) as run:
        run.span("without", SECONDS)
        run.begin("hostile clients come")
        before = {name: counted(stack, metric_name, **labels) for name, (metric_name, labels) in COUNTED.items()}
        node = stack.ws[0].port
        attacks = {
            "flood": [lambda each=each: flood(stack, each) for each in villains[:5]],
            "malformed": [lambda each=each: misspeak(stack, each, '{"type":') for each in villains[:10]],
            "garbage": [lambda each=each: babble(stack, each) for each in villains[:10]],
            "oversize": [
                lambda each=each: oversize(stack, each, chance.choice((5000, 60_000))) for each in villains[:10]
            ],
            "slow handshakes": [lambda each=each: dawdle(node, each, 15.0) for each in villains],
        }
        ends = {name: asyncio.run(attack(run, stack, name, who, SECONDS)) for name, who in attacks.items()}
        run.span("without again", SECONDS)
        run.catch_up()
        run.nothing_lost()
        run.presence(may={page.user for page in villains})
        run.target("all processes up", all(each.runs for each in stack.processes.values()), "as started")
        for name, code in CODES.items():
            run.target(f"{name} ends with {code}", set(ends[name]) == {code}, dict(ends[name]))
        run.target("garbage ends the socket", set(ends["garbage"]) == {1}, dict(ends["garbage"]))
        slowest = max(ends["slow handshakes"])
        bound = Settings.HANDSHAKE_SECONDS
        run.target(
            f"a node ends a slow handshake after {bound:.0f} s", slowest <= bound + NOTICED_SECONDS, f"{slowest:.1f} s"
        )
        for name, (metric_name, labels) in COUNTED.items():
            count = counted(stack, metric_name, **labels) - before[name]
            run.target(f"{name}: each end is counted", count >= sum(ends[name].values()), f"{count:,.0f}")
        for name in attacks:
            run.latency_target(name, ("without", "without again"))
        run.verdict()
