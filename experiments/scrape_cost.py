"""`python -m experiments.scrape_cost`: measures the cost of a scrape for a node with many open sockets.

Sockets connect directly to a node of a stack of its own, fifty for each user. The cost is the process's CPU time over
a row of scrapes, less its CPU time over the same span without any.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from testkit.process_usage import cpu_seconds
from testkit.websocket_client import WebSocketClient, handshake
from tests.stack import Stack

PER_USER = 50
OPENING_AT_ONCE = 50
ROUTES = ("users", "documents", "notifications")
# By then the first snapshots have been sent, and the count is stable.
SETTLE_SECONDS = 10.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--scrapes", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        stack = Stack(Path(directory), ws=1)
        stack.prepare()
        with stack:
            asyncio.run(_measure(stack, options.connections, options.scrapes))
    return 0


async def _measure(stack: Stack, connections: int, scrapes: int) -> None:
    cookies = list(stack.sessions(*(f"user-{i}" for i in range(-(-connections // PER_USER)))).values())
    turns = asyncio.Semaphore(OPENING_AT_ONCE)
    node = stack.ws[0]
    sockets = await asyncio.gather(
        *(_open(node.port, ROUTES[i % len(ROUTES)], cookies[i // PER_USER], turns) for i in range(connections))
    )
    await asyncio.sleep(SETTLE_SECONDS)
    started, before = time.monotonic(), cpu_seconds([node.pid])
    sizes, seconds = [], []
    for _ in range(scrapes):
        size, took = await asyncio.to_thread(_scrape, node.admin_port)
        sizes.append(size)
        seconds.append(took)
    span, busy = time.monotonic() - started, cpu_seconds([node.pid]) - before
    before = cpu_seconds([node.pid])
    await asyncio.sleep(span)
    idle = cpu_seconds([node.pid]) - before
    print(
        f"{connections} sockets, {scrapes} scrapes: {(busy - idle) / scrapes * 1000:.1f} ms of CPU each, "
        f"{max(sizes)} bytes, {sorted(seconds)[scrapes // 2] * 1000:.1f} ms until answered (median)"
    )
    for socket in sockets:
        socket.abort()


async def _open(port: int, route: str, cookie: str, turns: asyncio.Semaphore) -> WebSocketClient:
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()

    def lost(code: int, status: int) -> None:
        if not opened.done():
            opened.set_exception(RuntimeError(f"no socket: status {status}, code {code}"))

    socket = WebSocketClient(
        handshake(f"127.0.0.1:{port}", f"/ws/{route}/", cookie),
        on_open=lambda: opened.set_result(None),
        on_text=lambda _text: None,
        on_close=lost,
    )
    async with turns:
        await loop.create_connection(lambda: socket, "127.0.0.1", port)
        await opened
    return socket


def _scrape(port: int) -> tuple[int, float]:
    started = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return len(answer.read()), time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
