"""The subscription of one event loop to one Redis: one connection, which reconnects and subscribes again."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tidewire.exceptions import RedisUnavailable
from tidewire.redis.backoff import Backoff
from tidewire.redis.hosts import SOCKET_SECONDS, pool

logger = logging.getLogger(__name__)

# A subscription without messages is checked by a PING after this time, and is lost after the same time again.
PING_SECONDS = 15.0
# Timeout of a subscription that a caller waits for.
SUBSCRIBE_SECONDS = 2 * SOCKET_SECONDS
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 5.0
# Names in one SUBSCRIBE: Redis runs it as a whole, and other clients wait for it.
NAMES_PER_COMMAND = 1000

_ERRORS = (RedisError, OSError, TimeoutError)


class Subscriber:
    """Keeps a set of Redis channels subscribed, and calls `deliver` with each message.

    Names that are added in one step of the event loop share one SUBSCRIBE.

    Args:
        host: The options of the connection, as `tidewire.redis.hosts.layer_host` returns them.
        deliver: Called with the name of the Redis channel and the message.
        on_gap: Called with the seconds of an outage, when all names are subscribed again.

    """

    def __init__(
        self, host: Mapping[str, Any], deliver: Callable[[str, bytes], None], on_gap: Callable[[float], None]
    ) -> None:
        # redis-py would reconnect and subscribe again without a word: the gap would remain unknown. A subscription
        # reads without a timeout, whatever the host's options say.
        own = {"retry": Retry(NoBackoff(), 0), "retry_on_error": [], "socket_timeout": None, "health_check_interval": 0}
        self._host = {**host, **own, "decode_responses": False, "max_connections": 1, "timeout": SOCKET_SECONDS}
        self._deliver = deliver
        self._on_gap = on_gap
        self._wanted: set[str] = set()
        self._patterns: set[str] = set()
        # Names in a SUBSCRIBE of this connection, and the number of replies that are due for each.
        self._sent: set[str] = set()
        self._due: dict[str, int] = {}
        self._changed: set[str] = set()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._pubsub: PubSub | None = None
        self._reader: asyncio.Task[None] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._lost_at: float | None = None
        # The last error, for the callers during an outage.
        self._why = ""
        self._is_closed = False

    async def subscribe(self, name: str, *, is_pattern: bool = False) -> None:
        """Subscribe, and return when Redis has confirmed it.

        Args:
            name: Name of a Redis channel, or a pattern of such names.
            is_pattern: True for a pattern. It remains until the end.

        Raises:
            RedisUnavailable: Redis did not confirm in time. The name remains wanted and is subscribed later.

        """
        self._wanted.add(name)
        if is_pattern:
            self._patterns.add(name)
        if name in self._sent and name not in self._due and name not in self._changed:
            return
        confirmed = self._waiting.setdefault(name, asyncio.get_running_loop().create_future())
        self._change(name)
        try:
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                await asyncio.shield(confirmed)
        except TimeoutError:
            why = f" ({self._why})" if self._why else ""
            raise RedisUnavailable(
                f"Redis did not confirm a subscription within {SUBSCRIBE_SECONDS:g} s{why}"
            ) from None

    def unsubscribe(self, name: str) -> None:
        """Unsubscribe soon. Nothing waits for the reply."""
        self._wanted.discard(name)
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        self._change(name)

    async def close(self) -> None:
        """End the connection and forget all names."""
        self._is_closed = True
        self._wanted.clear()
        tasks = [task for task in (self._sender, self._reader) if task is not None]
        self._reader = self._sender = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _change(self, name: str) -> None:
        if self._is_closed:
            # A consumer that ends later must not connect again.
            return
        self._changed.add(name)
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._run())
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_changes())

    async def _send_changes(self) -> None:
        pubsub = self._pubsub
        # Without a connection there is nothing to do: the next one subscribes to all wanted names.
        while pubsub is not None and pubsub is self._pubsub and self._changed:
            names = [self._changed.pop() for _ in range(min(len(self._changed), NAMES_PER_COMMAND))]
            added = [name for name in names if name in self._wanted and name not in self._sent]
            removed = [name for name in names if name not in self._wanted and name in self._sent]
            try:
                await self._subscribe(pubsub, added)
                await self._unsubscribe(pubsub, removed)
            except _ERRORS:
                # The reader sees the end of the connection too, and makes another one.
                if pubsub.connection is not None:
                    await pubsub.connection.disconnect()
                return

    async def _subscribe(self, pubsub: PubSub, names: list[str]) -> None:
        for name in names:
            self._sent.add(name)
            self._due[name] = self._due.get(name, 0) + 1
        if plain := [name for name in names if name not in self._patterns]:
            await pubsub.subscribe(*plain)
        if patterns := [name for name in names if name in self._patterns]:
            await pubsub.psubscribe(*patterns)

    async def _unsubscribe(self, pubsub: PubSub, names: list[str]) -> None:
        self._sent.difference_update(names)
        if names:
            await pubsub.unsubscribe(*names)

    async def _run(self) -> None:
        backoff = Backoff(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS)
        while self._wanted:
            redis = Redis.from_pool(pool(self._host))
            pubsub = redis.pubsub()
            try:
                await self._read(pubsub, backoff)
            except Exception as error:  # noqa: BLE001  # without its reader the layer would be deaf, whatever a connection class raises
                self._note_loss(error)
            finally:
                await self._end(redis, pubsub)
            await asyncio.sleep(backoff.next_delay())
        # Nothing was subscribed, so nothing was lost. The next subscription starts another reader.
        self._lost_at = None

    def _note_loss(self, error: Exception) -> None:
        self._why = f"{type(error).__name__}: {error}"
        if self._lost_at is None and self._wanted:
            self._lost_at = time.monotonic()
            logger.warning("Redis is unavailable; the channel layer receives no messages (%s)", self._why)

    async def _end(self, redis: Redis, pubsub: PubSub) -> None:
        self._pubsub = None
        if self._sender is not None:
            # It must not use the old connection, which redis-py would open again.
            self._sender.cancel()
            self._sender = None
        self._sent.clear()
        self._due.clear()
        with contextlib.suppress(*_ERRORS):
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py has no types here
            await redis.connection_pool.aclose()

    async def _read(self, pubsub: PubSub, backoff: Backoff) -> None:
        self._changed.clear()
        names = list(self._wanted)
        for start in range(0, len(names), NAMES_PER_COMMAND):
            await self._subscribe(pubsub, names[start : start + NAMES_PER_COMMAND])
        self._pubsub = pubsub
        # Names that changed meanwhile.
        self._changed.update(self._wanted ^ self._sent)
        await self._send_changes()
        is_checked = False
        while True:
            message = await pubsub.get_message(timeout=PING_SECONDS)
            if message is None and is_checked:
                raise TimeoutError(f"no reply to PING within {PING_SECONDS:g} s")
            is_checked = message is None
            if message is None:
                await pubsub.ping()
            elif message["type"] in ("message", "pmessage"):
                self._deliver(message["channel"].decode(), message["data"])
            elif message["type"] in ("subscribe", "psubscribe"):
                self._confirm(message["channel"].decode())
                backoff.reset()

    def _confirm(self, name: str) -> None:
        # A name may be unsubscribed and subscribed again before the first reply has arrived.
        due = self._due.pop(name, 1) - 1
        if due > 0:
            self._due[name] = due
            return
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        self._why = ""
        if self._lost_at is not None and not self._due:
            seconds, self._lost_at = time.monotonic() - self._lost_at, None
            self._on_gap(seconds)
