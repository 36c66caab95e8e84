"""Publishing from event loops that do not last: one connection in a thread, for the whole process."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis


class BackgroundSender:
    """Runs calls to Redis on an event loop of its own.

    `async_to_sync` makes an event loop for each call. A connection belongs to an event loop, so each of these calls
    would open a connection of its own; here they share the connections of one thread.

    Args:
        connect: Returns a client; called on the thread's event loop.

    """

    def __init__(self, connect: Callable[[], Redis]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        # The thread that started in a process before a fork does not run in the child.
        self._process: int | None = None
        self._loop: asyncio.AbstractEventLoop
        self._client: Redis

    async def run(self, call: Callable[[Redis], Awaitable[Any]]) -> None:
        """Run a call on the thread, and raise what it raises."""
        self._start()
        client = self._client

        async def run() -> None:
            await call(client)

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), self._loop))

    async def close(self) -> None:
        """Close the connections and end the thread. A later call starts it again."""
        with self._lock:
            is_running, self._process = self._process == os.getpid(), None
        if not is_running:
            return
        loop, client = self._loop, self._client

        async def end() -> None:
            await client.aclose()
            await client.connection_pool.aclose()

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(end(), loop))
        loop.call_soon_threadsafe(loop.stop)

    def _start(self) -> None:
        with self._lock:
            if self._process == os.getpid():
                return
            loop, is_ready = asyncio.new_event_loop(), threading.Event()

            def work() -> None:
                asyncio.set_event_loop(loop)
                loop.call_soon(is_ready.set)
                loop.run_forever()
                loop.close()

            threading.Thread(target=work, name="tidewire-channel-layer", daemon=True).start()
            is_ready.wait()
            self._loop, self._client, self._process = loop, self._connect(), os.getpid()
