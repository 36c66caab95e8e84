"""A crowd of users to monitor: sockets in a background thread, new documents, lost and reopened sockets."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.http_client import submit
from tests.sockets import open_socket
from tests.stack import Stack

ROUTES = ("/ws/users/", "/ws/documents/", "/ws/notifications/")
RETURN_SECONDS = 0.3


class Crowd:
    """Sockets on a loop of their own that read events and reconnect when lost, and a writer of documents."""

    def __init__(self, stack: Stack, people: int) -> None:
        self.stack = stack
        self.cookies = list(stack.sessions(*(f"person-{i}" for i in range(people)), tickets=False).values())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._tasks: list[asyncio.Task[None]] = []
        self._open: set[ClientConnection] = set()
        self._numbers = itertools.count()

    def join(self, sockets: int, *, at: str | None = None) -> None:
        """Open this number of additional sockets, for each user in turn; with `at`, on a node itself."""
        self._run(self._join(sockets, at))

    def lose(self) -> None:
        """Abort all sockets at once without a close frame, like the stop of a proxy. They reconnect."""
        self._run(self._lose())

    def knock(self, times: int) -> None:
        """Send this number of handshakes without a session."""
        self._run(self._knock(times))

    def write(self, documents: int) -> None:
        """Create this number of documents. Each is an event for every reader of notifications."""
        for _ in range(documents):
            fields = {"title": f"Watched {next(self._numbers)}", "body": "Text."}
            submit(f"{self.stack.url}/new/", random.choice(self.cookies), fields)

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _join(self, sockets: int, at: str | None) -> None:
        ready = [asyncio.Event() for _ in range(sockets)]
        for i, opened in enumerate(ready):
            cookie, route = self.cookies[i % len(self.cookies)], ROUTES[i % len(ROUTES)]
            self._tasks.append(asyncio.ensure_future(self._live(route, cookie, at, opened)))
        await asyncio.gather(*(opened.wait() for opened in ready))

    async def _live(self, route: str, cookie: str, at: str | None, opened: asyncio.Event) -> None:
        while True:
            with contextlib.suppress(OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                async with open_socket(self.stack, route, cookie, at=at) as socket:
                    self._open.add(socket)
                    opened.set()
                    try:
                        async for _event in socket:
                            pass
                    finally:
                        self._open.discard(socket)
            await asyncio.sleep(RETURN_SECONDS)

    async def _lose(self) -> None:
        for socket in list(self._open):
            socket.transport.abort()

    async def _knock(self, times: int) -> None:
        for _ in range(times):
            async with open_socket(self.stack, ROUTES[0]) as socket:
                with contextlib.suppress(ConnectionClosed):
                    async for _event in socket:
                        pass

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def substituted(expr: str, *, window: str) -> str:
    """Return a panel's query as Grafana would send it, with all variables set to every value.

    Yesterday and ten minutes ago are some seconds ago, because the stack is as young.
    """
    expr = re.sub(r"offset \d+[md]", "offset 5s", expr)
    return expr.replace("$__rate_interval", window).replace("$node", ".*").replace("$consumer", ".*")


def of(queries: Sequence[tuple[str, str]]) -> list[str]:
    return [expr for expr, _legend in queries]
