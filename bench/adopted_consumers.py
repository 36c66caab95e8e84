"""CPU per frame of a project's own consumers: stock Daphne, tidewire's server alone, and with `tidewire.adopt`.

    python -m bench.adopted_consumers
    python -m bench.adopted_consumers --application project.asgi:application --path /ws/room/ --sockets 1000

Rounds are interleaved, so that a machine that becomes slower does not favour a variant. In each, one of the sockets
sends a message, which the consumers must send to all sockets of the path; the next follows when all have received it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from bench.paths import LOOPBACK, ROOT
from bench.redis_server import redis_serving
from deploy.local.layout import free_port

VARIANTS = {
    "stock Daphne": ["daphne"],
    "tidewire, ADOPT off": ["tidewire"],
    "tidewire": ["tidewire"],
}
ADOPT_OFF = "tidewire, ADOPT off"
WARM_UP = 5
READY_SECONDS = 60.0
MESSAGE_SECONDS = 60.0
# Handshakes at a time: a storm is not what is measured.
CONNECTING = 50


class Measured(NamedTuple):
    """One server with one path: `faults` are frames that were lost, doubled or out of order."""

    microseconds: float
    p99_ms: float
    kilobytes: float
    faults: int


def main() -> None:
    """Measure, and print a table for each path."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--application", default="tests.contract.chat.asgi:application")
    parser.add_argument("--path", action="append", help="default: the tutorial's chat, async and sync")
    parser.add_argument("--message", default='{"message": "%d"}', help="a client's text; %%d is its number")
    parser.add_argument("--sockets", type=int, default=300)
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layer", default="pubsub", help="the chat's layer: pubsub, core or memory")
    options = parser.parse_args()
    for path in options.path or ["/ws/chat/room/", "/ws/sync/room/"]:
        results: dict[str, list[Measured]] = {name: [] for name in VARIANTS}
        for round_ in range(options.rounds):
            for name, measured in results.items():
                print(f"{path} round {round_ + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
                measured.append(asyncio.run(_measure(name, path, options)))
        _print(path, options, results)


async def _measure(name: str, path: str, options: argparse.Namespace) -> Measured:
    async with redis_serving(None) as redis:
        port = free_port()
        tidewire = {"ADOPT": name != ADOPT_OFF}
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", ""))),
            "CHAT_REDIS": redis.url,
            "CHAT_LAYER": options.layer,
            "CHAT_TIDEWIRE": json.dumps(tidewire),
        }
        command = [sys.executable, "-m", *VARIANTS[name], options.application, "-b", LOOPBACK, "-p", str(port)]
        process = _start([*command, "--verbosity", "0"], environment)
        try:
            await _ready(process, port)
            return await _fan_out(psutil.Process(process.pid), f"ws://{LOOPBACK}:{port}{path}", port, options)
        finally:
            process.kill()
            process.wait()


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


async def _ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("the server did not start") from None
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


async def _fan_out(server: psutil.Process, url: str, port: int, options: argparse.Namespace) -> Measured:
    before = server.memory_info().rss
    clients: list[ClientConnection] = []
    while len(clients) < options.sockets:
        count = min(CONNECTING, options.sockets - len(clients))
        clients += await asyncio.gather(*(_open(url, f"http://{LOOPBACK}:{port}") for _ in range(count)))
    kilobytes = (server.memory_info().rss - before) / 1024 / options.sockets
    waits: list[float] = []
    faults = 0
    cpu = 0.0
    for number in range(WARM_UP + options.messages):
        if number == WARM_UP:
            waits, cpu = [], _cpu(server)
        sent = time.monotonic()
        await clients[0].send(options.message % number if "%d" in options.message else options.message)
        faults += sum(await asyncio.gather(*(_expect(client, str(number), sent, waits) for client in clients)))
    spent = _cpu(server) - cpu
    await asyncio.sleep(0.2)
    faults += sum(len(client.recv_messages.frames) for client in clients)  # what arrived twice
    for client in clients:
        client.transport.abort()
    microseconds = spent * 1e6 / (options.messages * options.sockets)
    return Measured(microseconds, statistics.quantiles(waits, n=100)[98] * 1e3, kilobytes, faults)


async def _open(url: str, origin: str) -> ClientConnection:
    return await connect(url, origin=Origin(origin), proxy=None, ping_interval=None)


async def _expect(client: ClientConnection, number: str, sent: float, waits: list[float]) -> int:
    try:
        text = await asyncio.wait_for(client.recv(), MESSAGE_SECONDS)
    except TimeoutError:
        return 1
    waits.append(time.monotonic() - sent)
    return int(number not in str(text))


def _cpu(server: psutil.Process) -> float:
    times: Any = server.cpu_times()
    return float(times.user + times.system)


def _print(path: str, options: argparse.Namespace, results: dict[str, list[Measured]]) -> None:
    print(f"\n{options.application} {path}, {options.sockets} sockets, {options.messages} messages, {options.layer}")
    print(f"{'':22}{'us CPU per frame, each round':32}{'p99 ms':>10}{'KB/socket':>11}{'faults':>8}")
    for name, measured in results.items():
        rounds = "  ".join(f"{each.microseconds:6.1f}" for each in measured)
        p99 = statistics.median(each.p99_ms for each in measured)
        kilobytes = statistics.median(each.kilobytes for each in measured)
        faults = sum(each.faults for each in measured)
        print(f"{name:22}{rounds:32}{p99:10.0f}{kilobytes:11.1f}{faults:8}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
