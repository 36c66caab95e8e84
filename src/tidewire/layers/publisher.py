"""Publishing of one event loop: in the order of the calls, and with one round trip for all that wait."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tidewire.exceptions import RedisUnavailable
from tidewire.redis.hosts import SOCKET_SECONDS, pool

# Messages in one round trip: Redis delivers them as a whole, and other clients wait for it.
MESSAGES_PER_ROUND_TRIP = 500


class Publisher:
    """Publishes messages over one connection, in the order of the calls.

    A message is sent at most once: after an error it is not repeated, because Redis may have delivered it. A connection
    that Redis has closed meanwhile is replaced before the message is sent.

    Args:
        host: The options of the connection, as `tidewire.redis.hosts.layer_host` returns them.

    """

    def __init__(self, host: Mapping[str, Any]) -> None:
        own = {"retry": Retry(NoBackoff(), 0), "retry_on_error": [], "max_connections": 1, "timeout": SOCKET_SECONDS}
        # A host without a timeout is advised for the subscriptions of channels_redis. A caller must not wait so.
        own |= {name: host.get(name) or SOCKET_SECONDS for name in ("socket_timeout", "socket_connect_timeout")}
        self._redis = Redis.from_pool(pool({**host, **own}))
        self._waiting: list[tuple[str, bytes, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def publish(self, name: str, message: bytes) -> None:
        """Publish a message, and return when Redis has it.

        Raises:
            RedisUnavailable: Redis did not answer in time. The message may be lost.

        """
        published = asyncio.get_running_loop().create_future()
        self._waiting.append((name, message, published))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await published

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._fail(self._waiting)
        self._waiting.clear()
        await self._redis.aclose()
        await self._redis.connection_pool.aclose()

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:MESSAGES_PER_ROUND_TRIP]
            del self._waiting[:MESSAGES_PER_ROUND_TRIP]
            try:
                pipeline = self._redis.pipeline(transaction=False)
                for name, message, _ in batch:
                    pipeline.publish(name, message)
                replies = await pipeline.execute(raise_on_error=False)
            except asyncio.CancelledError:
                self._fail(batch)
                raise
            except Exception as error:  # noqa: BLE001  # each caller needs an answer, whatever a connection class raises
                replies = [error] * len(batch)
            for (_, _, published), reply in zip(batch, replies, strict=True):
                # The caller may have given up.
                if published.done():
                    continue
                if isinstance(reply, Exception):
                    published.set_exception(RedisUnavailable(f"{type(reply).__name__}: {reply}"))
                else:
                    published.set_result(None)

    @staticmethod
    def _fail(batch: list[tuple[str, bytes, asyncio.Future[None]]]) -> None:
        for *_, published in batch:
            if not published.done():
                published.set_exception(RedisUnavailable("the channel layer was closed"))
