"""The Channels groups that this process is a member of: one channel for all, and one group per topic."""

import asyncio
from typing import Any

from channels.layers import BaseChannelLayer

from tidewire.exceptions import RedisUnavailable
from tidewire.hints import group_name

# Timeout of each call to the layer. Without it a call to a Redis that hangs would block all later calls.
LAYER_SECONDS = 2.0
# Number of groups that are joined or left concurrently: a layer may use a connection for each call.
CONCURRENT_LAYER_CALLS = 16
# Layers with expiring groups (86,400 s by default) drop a member that does not join again.
REJOIN_SECONDS = 3600.0


class Groups:
    """Joins and leaves the groups of topics. Calls to the layer may raise what it raises while Redis is unavailable."""

    def __init__(self, layer: BaseChannelLayer, *, prefix: str) -> None:
        self._layer = layer
        self._prefix = prefix
        self._channel: str | None = None
        # Topic -> when its group was joined.
        self._joined: dict[str, float] = {}
        self._calls = asyncio.Semaphore(CONCURRENT_LAYER_CALLS)

    @property
    def is_open(self) -> bool:
        """True if there is a channel, with which groups can be joined."""
        return self._channel is not None

    async def open(self) -> None:
        """Make the channel, once: a layer goes on filling a channel that is no longer read."""
        if self._channel is None:
            async with asyncio.timeout(LAYER_SECONDS):
                self._channel = await self._layer.new_channel()

    async def receive(self) -> dict[str, Any]:
        """Return the next message of any group."""
        assert self._channel is not None
        message: dict[str, Any] = await self._layer.receive(self._channel)
        return message

    def close(self) -> None:
        """Join no more groups."""
        self._channel = None

    def is_joined(self, topic: str) -> bool:
        """Return whether the topic's group is joined, as far as this process knows."""
        return topic in self._joined

    def invalidate(self) -> None:
        """Let all groups be joined again, because the layer may have lost their members."""
        self._joined.clear()

    def expire(self) -> None:
        """Let the groups be joined again that a layer might soon drop this process from."""
        oldest = asyncio.get_running_loop().time() - REJOIN_SECONDS
        for topic in [topic for topic, joined in self._joined.items() if joined < oldest]:
            del self._joined[topic]

    async def join(self, topic: str) -> None:
        """Join a topic's group. Joining twice is joining once."""
        if self._channel is None:
            raise RedisUnavailable("the hub has no channel yet")
        # Set before the call to the layer, so that `invalidate` can reset it in between.
        self._joined[topic] = asyncio.get_running_loop().time()
        try:
            async with self._calls, asyncio.timeout(LAYER_SECONDS):
                await self._layer.group_add(group_name(self._prefix, topic), self._channel)
        except BaseException:
            self._joined.pop(topic, None)
            raise

    async def leave(self, topic: str) -> None:
        """Leave a topic's group. It counts as left after an error too, because the layer may have left it before."""
        self._joined.pop(topic, None)
        if self._channel is None:
            return
        async with self._calls, asyncio.timeout(LAYER_SECONDS):
            await self._layer.group_discard(group_name(self._prefix, topic), self._channel)
