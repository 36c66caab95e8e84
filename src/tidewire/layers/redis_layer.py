"""A channel layer on Redis' publish and subscribe, for any Channels project."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from weakref import WeakSet
from zlib import crc32

from channels_redis.serializers import registry
from django.core.exceptions import ImproperlyConfigured

from tidewire import metrics
from tidewire.layers.arguments import check_arguments, check_options
from tidewire.layers.loop_layer import LoopLayer, Shard, close_before
from tidewire.layers.sender import BackgroundSender
from tidewire.redis.hosts import layer_host

logger = logging.getLogger(__name__)

# Messages that cannot be read are logged at most this often.
QUIET_SECONDS = 60.0


class RedisChannelLayer:
    """A channel layer that replaces `channels_redis.pubsub.RedisPubSubChannelLayer` without a change of the project.

    Both use the same names and bytes in Redis, so processes with either exchange messages during a rolling change. The
    differences: one subscription for all consumers of a process; a bounded mailbox for each consumer; calls through
    `async_to_sync` share connections; a subscription that survives idle times and failovers, and reports its gaps.
    A message is delivered at most once. Each consumer gets a copy of its own.

    Args:
        hosts: Redis servers, as `channels_redis` takes them: URLs, pairs (host, port), or dicts, also with `sentinels`
            and `master_name`. With several, each channel and group has one of them.
        prefix: Prefix of all names in Redis.
        capacity: Largest number of messages that wait for one consumer. Later ones are dropped and counted by
            `tidewire_layer_messages_dropped_total`.
        gap_message: A message such as `{"type": "layer.gap"}` that a consumer gets in place of lost ones: after its
            mailbox was full, and after Redis was unavailable. Its handler should read the current state again. The
            default is None: consumers get no such message.
        on_disconnect: Accepted for the sake of `channels_redis`; see `gap_message`.
        on_reconnect: Called without arguments after an outage, when all groups are subscribed again. A text is the
            `type` of a message that each consumer gets then.
        symmetric_encryption_keys: Keys that encrypt messages, the first one for new messages.
        serializer_format: A format of `channels_redis`: `msgpack` or `json`.
        unused: The options `expiry`, `group_expiry` and `channel_capacity` of `channels_redis` have no meaning here, as
            in its own layer.

    Raises:
        ImproperlyConfigured: An argument is invalid; the message names it.

    Example:
        >>> CHANNEL_LAYERS = {
        ...     "default": {
        ...         "BACKEND": "tidewire.layers.RedisChannelLayer",
        ...         "CONFIG": {"hosts": ["redis://127.0.0.1:6379/0"]},
        ...     }
        ... }

    Source: the protocol in Redis is that of `channels_redis.pubsub`.

    """

    extensions = ("groups", "flush")

    def __init__(  # the arguments of channels_redis, which settings name
        self,
        hosts: Sequence[Any] | None = None,
        prefix: str = "asgi",
        *,
        capacity: Any = 1000,
        gap_message: Mapping[str, Any] | None = None,
        on_disconnect: Callable[[], Any] | None = None,
        on_reconnect: Callable[[], Any] | str | None = None,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        serializer_format: str = "msgpack",
        **unused: Any,
    ) -> None:
        check_arguments(
            hosts=hosts,
            prefix=prefix,
            capacity=capacity,
            gap_message=gap_message,
            on_reconnect=on_reconnect,
            unused=unused,
        )
        self.prefix = prefix
        self.capacity: int = capacity
        self.hosts = [layer_host(host) for host in hosts or ["redis://localhost:6379"]]
        for host in self.hosts:
            check_options(host)
        try:
            self._serializer = registry.get_serializer(
                serializer_format, symmetric_encryption_keys=symmetric_encryption_keys
            )
        except (TypeError, ValueError, LookupError) as error:
            raise ImproperlyConfigured(
                f'CHANNEL_LAYERS: "serializer_format" {serializer_format!r} or "symmetric_encryption_keys" cannot be '
                f"used ({type(error).__name__}: {error})"
            ) from None
        try:
            self.gap_message = None if gap_message is None else self.serialize(dict(gap_message))
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f'CHANNEL_LAYERS: "gap_message" cannot be serialized: {error}') from None
        self.on_reconnect = self.serialize({"type": on_reconnect}) if isinstance(on_reconnect, str) else on_reconnect
        self._layers: dict[asyncio.AbstractEventLoop, LoopLayer] = {}
        self._loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
        self._quiet_until = 0.0
        self._senders = [BackgroundSender(host) for host in self.hosts]

    def serialize(self, message: Any) -> bytes:
        """Return a message as bytes.

        Args:
            message: A dict with a `type`, of values that the serializer supports.

        Returns:
            Bytes as channels_redis would write them.

        """
        return cast("bytes", self._serializer.serialize(message))

    def deserialize(self, message: bytes) -> Any:
        """Return the message of these bytes.

        Args:
            message: Bytes from `serialize`, or from channels_redis.

        Returns:
            The message.

        """
        return self._serializer.deserialize(message)

    async def send(self, channel: str, message: Mapping[str, Any]) -> None:
        """Send a message to a channel of any process.

        Args:
            channel: Name of a channel, as `new_channel` returned it.
            message: A dict with a `type`, of values that the serializer supports.

        Raises:
            RedisUnavailable: Redis did not answer in time. The message may be lost.

        """
        await self._publish(channel, message)

    async def group_send(self, group: str, message: Mapping[str, Any]) -> None:
        """Send a message to all members of a group.

        Args:
            group: Name of the group.
            message: A dict with a `type`, of values that the serializer supports.

        Raises:
            RedisUnavailable: Redis did not answer in time. The message may be lost.

        """
        await self._publish(self.group_channel(group), message)

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Make a channel that this process receives.

        Args:
            prefix: Prefix of its name.

        Returns:
            The name of the channel.

        Raises:
            RedisUnavailable: Redis did not confirm the subscription in time.

        """
        return await self._get_layer().new_channel(prefix)

    async def receive(self, channel: str) -> Any:
        """Wait for the next message of a channel. A message that cannot be read is dropped, counted and logged.

        Args:
            channel: Name of a channel, also of one that other processes send to.

        Returns:
            The message, a copy that no other receiver has.

        Raises:
            RedisUnavailable: Redis did not confirm the subscription in time.

        """
        while True:
            message = await self._get_layer().receive(channel)
            try:
                return self.deserialize(message)
            except Exception as error:  # noqa: BLE001  # each serializer has its own
                metrics.LAYER_DROPPED.inc()
                self._log_unreadable(channel, error)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel of this process to a group.

        Args:
            group: Name of the group.
            channel: Name of a channel, as `new_channel` returned it.

        Raises:
            RedisUnavailable: Redis did not confirm the subscription in time. It is subscribed later.
            RuntimeError: The channel is not one of this process.

        """
        await self._get_layer().group_add(self.group_channel(group), channel)

    async def group_discard(self, group: str, channel: str) -> None:
        """Remove a channel from a group, if it is a member.

        Args:
            group: Name of the group.
            channel: Name of a channel, as `new_channel` returned it.

        """
        # At the end of an event loop, tasks leave their groups after the layer has closed: it must not start again.
        layer = self._layers.get(asyncio.get_running_loop())
        if layer is not None:
            layer.group_discard(self.group_channel(group), channel)

    async def flush(self) -> None:
        """Forget all channels and groups of this event loop, and close connections."""
        layer = self._layers.pop(asyncio.get_running_loop(), None)
        if layer is not None:
            await layer.close()
        for sender in self._senders:
            await sender.close()

    def group_channel(self, group: str) -> str:
        """Return the name of a group in Redis.

        Args:
            group: Name of the group.

        Returns:
            The name of the Redis channel.

        """
        return f"{self.prefix}__group__{group}"

    def shard(self, name: str) -> int:
        """Choose the host of a channel as channels_redis does.

        Args:
            name: Name of a Redis channel.

        Returns:
            The index in `hosts`.

        """
        return int((crc32(name.encode()) & 0xFFF) / (4096 / len(self.hosts)))

    def _log_unreadable(self, channel: str, error: Exception) -> None:
        # Messages of another key may be as many as those of this process.
        if time.monotonic() < self._quiet_until:
            return
        self._quiet_until = time.monotonic() + QUIET_SECONDS
        logger.error(
            "a message for %s cannot be read and is dropped (%s: %s): do all processes have the same serializer_format "
            "and symmetric_encryption_keys?",
            channel,
            type(error).__name__,
            error,
        )

    async def _publish(self, name: str, message: Mapping[str, Any]) -> None:
        data, shard = self.serialize(message), self.shard(name)
        layer = self._layers.get(asyncio.get_running_loop())
        if layer is None:
            await self._senders[shard].publish(name, data)
        else:
            await layer.shards[shard].publisher.publish(name, data)

    @property
    def _shards(self) -> list[Shard]:
        # The tests of channels_redis look here.
        return self._get_layer().shards

    def _get_layer(self) -> LoopLayer:
        loop = asyncio.get_running_loop()
        layer = self._layers.get(loop)
        if layer is None:
            # Other threads make layers too, while this one looks.
            for closed in [each for each in list(self._layers) if each.is_closed()]:
                self._layers.pop(closed, None)
            layer = self._layers[loop] = LoopLayer(self, functools.partial(self._layers.pop, loop, None))
            if loop not in self._loops:
                self._loops.add(loop)
                close_before(loop, self._layers)
        return layer
