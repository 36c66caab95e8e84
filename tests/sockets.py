"""WebSocket clients for tests, with the headers of a browser. Every wait has a timeout."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.stack import Stack

# Generous, because three stacks and a browser may share two cores. Usually the wait is much shorter.
WAIT_SECONDS = 15.0


def open_socket(
    stack: Stack, path: str, cookie: str | None = None, *, at: str | None = None, **options: Any
) -> connect:
    """Return a connection for `async with`, through nginx or directly to a node with `at="ws://127.0.0.1:port"`."""
    headers = {"Cookie": cookie} if cookie else {}
    return connect(
        f"{at or stack.ws_url}{path}",
        **{
            "additional_headers": headers,
            # Ignores the environment's proxies, because all servers are on loopback.
            "proxy": None,
            "open_timeout": WAIT_SECONDS,
            "close_timeout": WAIT_SECONDS,
            **options,
        },
    )


async def event(
    socket: ClientConnection,
    type_: str,
    matches: Callable[[dict[str, Any]], bool] = lambda _event: True,
    *,
    timeout_seconds: float = WAIT_SECONDS,
) -> dict[str, Any]:
    """Return the next event of this type that matches, and skip all others."""
    seen = []
    try:
        async with asyncio.timeout(timeout_seconds):
            while True:
                seen.append(json.loads(await socket.recv()))
                if seen[-1]["type"] == type_ and matches(seen[-1]):
                    return dict(seen[-1])
    except TimeoutError:
        raise AssertionError(f"no such {type_} within {timeout_seconds} s; the last were {seen[-5:]}") from None


async def close_code(socket: ClientConnection) -> int | None:
    """Return the server's close code, and skip all events before it."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                await socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None
