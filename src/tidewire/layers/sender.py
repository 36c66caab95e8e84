"""Publishing from event loops that do not last: one connection in a thread, for the whole process."""

import asyncio
import os
import threading
from collections.abc import Mapping
from typing import Any

from tidewire.layers.publisher import Publisher


class BackgroundSender:
    """Publishes on an event loop of its own.

    `async_to_sync` makes an event loop for each call. A connection belongs to an event loop, so each of these calls
    would open a connection of its own; here they share the connections of one thread.

    Args:
        host: The options of the connection, as `tidewire.redis.hosts.layer_host` returns them.

    """

    def __init__(self, host: Mapping[str, Any]) -> None:
        self._host = host
        # The lock of each process by its id: a thread may hold the parent's at the time of a fork.
        self._locks: dict[int, threading.Lock] = {}
        # The thread that started in a process before a fork does not run in the child.
        self._process: int | None = None
        self._loop: asyncio.AbstractEventLoop
        self._publisher: Publisher

    async def publish(self, name: str, message: bytes) -> None:
        """Publish a message on the thread. Raises `RedisUnavailable`."""
        with self._lock:
            self._start()
            # Within the lock: after `close` nothing would run it.
            publishing = asyncio.run_coroutine_threadsafe(self._publisher.publish(name, message), self._loop)
        await asyncio.wrap_future(publishing)

    async def close(self) -> None:
        """Close the connections and end the thread. A later call starts it again."""
        with self._lock:
            is_running, self._process = self._process == os.getpid(), None
            if not is_running:
                return
            loop = self._loop
            closing = asyncio.run_coroutine_threadsafe(self._publisher.close(), loop)
        await asyncio.wrap_future(closing)
        loop.call_soon_threadsafe(loop.stop)

    @property
    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def _start(self) -> None:
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
        self._loop, self._publisher, self._process = loop, Publisher(self._host), os.getpid()
