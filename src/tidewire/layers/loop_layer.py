"""The channels and groups of one event loop, and its connections to Redis."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tidewire import metrics
from tidewire.layers.mailbox import Mailbox
from tidewire.layers.publisher import Publisher
from tidewire.layers.subscriber import Subscriber

logger = logging.getLogger(__name__)

# A channel that was given up is forgotten after this, if it is still a member of groups. `receive` may be called again
# until then: `asyncio.wait_for` in a loop does that.
FORGET_SECONDS = 60.0


class Options(Protocol):
    """The settings of the channel layer, as `RedisChannelLayer` describes them."""

    prefix: str
    capacity: int
    hosts: list[dict[str, Any]]
    gap_message: bytes | None
    on_reconnect: Callable[[], Any] | None

    def shard(self, name: str) -> int: ...


class Shard:
    """The connections of one event loop to one Redis."""

    def __init__(self, host: Mapping[str, Any], layer: "LoopLayer") -> None:
        self.publisher = Publisher(host)
        # The tests of channels_redis close this client, to see that the layer connects again.
        self._redis = self.publisher._redis  # noqa: SLF001
        self.subscriber = Subscriber(host, layer.deliver, layer.report_gap)

    async def close(self) -> None:
        await self.subscriber.close()
        await self.publisher.close()


class LoopLayer:
    """The channels of one event loop."""

    def __init__(self, layer: Options, on_end: Callable[[], Any]) -> None:
        self.channel_layer = layer
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._id = uuid.uuid4().hex
        self._count = 0
        self._mailboxes: dict[str, Mailbox] = {}
        # Group's name in Redis -> mailboxes of its members by channel.
        self._groups: dict[str, dict[str, Mailbox]] = {}
        # Channels that no `receive` waits for any more, but that are members of groups.
        self._given_up: dict[str, Mailbox] = {}
        self.shards = [Shard(host, self) for host in layer.hosts]
        self._guard = asyncio.create_task(self._close_at_the_end())

    async def new_channel(self, prefix: str) -> str:
        self._count += 1
        own = f"{self.channel_layer.prefix}{prefix}{self._id}."
        channel = f"{own}{self._count}"
        # One pattern for all channels of this event loop with this prefix.
        await self._subscriber(channel).subscribe(f"{_escape(own)}*", is_pattern=True)
        self._mailboxes[channel] = self._new_mailbox()
        return channel

    async def receive(self, channel: str) -> bytes:
        mailbox = self._mailboxes.get(channel)
        if mailbox is None:
            mailbox = self._mailboxes[channel] = self._restored(channel)
            if f"{self._id}." not in channel:
                await self._subscriber(channel).subscribe(channel)
        try:
            return await mailbox.get()
        except BaseException:
            # The consumer ends. Channels has no other sign of it.
            if self._mailboxes.get(channel) is mailbox:
                self._give_up(channel, mailbox)
            raise

    async def group_add(self, group: str, channel: str) -> None:
        mailbox = self._mailboxes.get(channel)
        if mailbox is None:
            raise RuntimeError(
                f"group_add needs a channel of this process, and {channel!r} is none: "
                "use self.channel_layer.group_add(group, self.channel_name) in a consumer"
            )
        self._groups.setdefault(group, {})[channel] = mailbox
        mailbox.groups.add(group)
        await self._subscriber(group).subscribe(group)

    def group_discard(self, group: str, channel: str) -> None:
        members = self._groups.get(group, {})
        mailbox = members.pop(channel, None)
        if mailbox is None:
            return
        mailbox.groups.discard(group)
        if not members:
            del self._groups[group]
            self._subscriber(group).unsubscribe(group)

    def deliver(self, name: str, message: bytes) -> None:
        members = self._groups.get(name)
        mailboxes = (
            members.values() if members is not None else [self._mailboxes[name]] if name in self._mailboxes else []
        )
        dropped = 0
        for mailbox in mailboxes:
            dropped += not mailbox.put(message)
        if dropped:
            metrics.LAYER_DROPPED.inc(dropped)

    def report_gap(self, seconds: float) -> None:
        metrics.LAYER_GAPS.inc()
        logger.warning("the channel layer receives messages again; messages of %.1f s are lost", seconds)
        for mailbox in self._mailboxes.values():
            mailbox.note_gap()
        if self.channel_layer.on_reconnect is not None:
            self.channel_layer.on_reconnect()

    async def close(self) -> None:
        self._guard.cancel()
        await self._close_connections()

    def _new_mailbox(self) -> Mailbox:
        return Mailbox(self.channel_layer.capacity, self.channel_layer.gap_message)

    def _restored(self, channel: str) -> Mailbox:
        mailbox = self._given_up.pop(channel, None)
        return self._new_mailbox() if mailbox is None else mailbox

    def _subscriber(self, name: str) -> Subscriber:
        return self.shards[self.channel_layer.shard(name)].subscriber

    def _give_up(self, channel: str, mailbox: Mailbox) -> None:
        del self._mailboxes[channel]
        if f"{self._id}." not in channel:
            self._subscriber(channel).unsubscribe(channel)
        if mailbox.groups:
            self._given_up[channel] = mailbox
            self._loop.call_later(FORGET_SECONDS, self._forget, channel, mailbox)

    def _forget(self, channel: str, mailbox: Mailbox) -> None:
        if self._given_up.get(channel) is mailbox:
            del self._given_up[channel]
            for group in list(mailbox.groups):
                self.group_discard(group, channel)

    async def _close_at_the_end(self) -> None:
        # The runner of an event loop cancels its tasks before it closes the loop.
        try:
            await self._loop.create_future()
        except asyncio.CancelledError:
            self._on_end()
            await self._close_connections()
            raise

    async def _close_connections(self) -> None:
        for shard in self.shards:
            await shard.close()


def _escape(name: str) -> str:
    """Return the pattern that matches this name only."""
    return "".join(f"\\{character}" if character in "*?[]\\^-" else character for character in name)
