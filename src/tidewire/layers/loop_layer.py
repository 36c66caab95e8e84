"""The channels and groups of one event loop, and its connections to Redis."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Protocol

from tidewire import metrics
from tidewire.layers.mailbox import Mailbox
from tidewire.layers.publisher import Publisher
from tidewire.layers.subscriber import Subscriber

logger = logging.getLogger(__name__)

# A channel that was given up is forgotten after this. `receive` may be called again until then: `asyncio.wait_for` in a
# loop does that.
FORGET_SECONDS = 60.0


class Options(Protocol):
    """The settings of the channel layer, as `RedisChannelLayer` describes them."""

    prefix: str
    capacity: int
    hosts: list[dict[str, Any]]
    gap_message: bytes | None
    on_reconnect: Callable[[], Any] | bytes | None

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
        # The channels that each running task has made.
        self._owned: dict[asyncio.Task[Any], set[str]] = {}
        self.shards = [Shard(host, self) for host in layer.hosts]
        self._guard = asyncio.create_task(self._close_at_the_end())

    async def new_channel(self, prefix: str) -> str:
        self._count += 1
        own = f"{self.channel_layer.prefix}{prefix}{self._id}."
        channel = f"{own}{self._count}"
        # One pattern for all channels of this event loop with this prefix.
        await self._subscriber(channel).subscribe(f"{_escape(own)}*", is_pattern=True)
        owner = asyncio.current_task()
        self._mailboxes[channel] = self._new_mailbox(owner)
        if owner is not None:
            if owner not in self._owned:
                self._owned[owner] = set()
                owner.add_done_callback(self._note_end)
            self._owned[owner].add(channel)
        return channel

    async def receive(self, channel: str) -> bytes:
        mailbox = self._mailboxes.get(channel)
        is_new = mailbox is None
        if mailbox is None:
            mailbox = self._mailboxes[channel] = self._new_mailbox()
        if mailbox.forgetting is not None:
            mailbox.forgetting.cancel()
            mailbox.forgetting = None
        mailbox.receivers += 1
        try:
            if is_new and not self._is_own(channel):
                await self._subscriber(channel).subscribe(channel)
            return await mailbox.get()
        except BaseException:
            # The consumer may have ended, or calls again. Another receiver of the channel may be waiting.
            if mailbox.receivers == 1:
                self._give_up(channel, mailbox)
            raise
        finally:
            mailbox.receivers -= 1

    async def group_add(self, group: str, channel: str) -> None:
        mailbox = self._mailboxes.get(channel)
        if mailbox is None:
            raise RuntimeError(
                f"group_add needs a channel of this process, and {channel!r} is none: "
                "use self.channel_layer.group_add(group, self.channel_name) in a consumer"
            )
        # Raises if the name cannot be encoded.
        subscriber = self._subscriber(group)
        self._groups.setdefault(group, {})[channel] = mailbox
        mailbox.groups.add(group)
        await subscriber.subscribe(group)

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
            if isinstance(self.channel_layer.on_reconnect, bytes):
                mailbox.put(self.channel_layer.on_reconnect)
        if callable(self.channel_layer.on_reconnect):
            try:
                self.channel_layer.on_reconnect()
            except Exception:  # a fault of the project must not end the subscription
                logger.exception("on_reconnect of the channel layer failed")

    async def close(self) -> None:
        self._guard.cancel()
        await self._close_connections()
        for mailbox in self._mailboxes.values():
            if mailbox.forgetting is not None:
                mailbox.forgetting.cancel()
        for collection in (self._mailboxes, self._groups, self._owned):
            collection.clear()

    def _new_mailbox(self, owner: asyncio.Task[Any] | None = None) -> Mailbox:
        return Mailbox(self.channel_layer.capacity, self.channel_layer.gap_message, owner)

    def _is_own(self, channel: str) -> bool:
        return f"{self._id}." in channel

    def _subscriber(self, name: str) -> Subscriber:
        return self.shards[self.channel_layer.shard(name)].subscriber

    def _note_end(self, owner: asyncio.Task[Any]) -> None:
        # A consumer that ends while a message is handled has no pending `receive` that Channels could cancel.
        for channel in self._owned.pop(owner, ()):
            mailbox = self._mailboxes[channel]
            mailbox.owner = None
            if mailbox.forgetting is not None and not mailbox.groups:
                self._forget(channel, mailbox)
            elif mailbox.forgetting is None and not mailbox.receivers:
                self._give_up(channel, mailbox)

    def _give_up(self, channel: str, mailbox: Mailbox) -> None:
        if self._mailboxes.get(channel) is mailbox:
            mailbox.forgetting = self._loop.call_later(FORGET_SECONDS, self._forget, channel, mailbox)

    def _forget(self, channel: str, mailbox: Mailbox) -> None:
        if mailbox.forgetting is not None:
            mailbox.forgetting.cancel()
        if self._mailboxes.get(channel) is not mailbox:
            return
        del self._mailboxes[channel]
        if mailbox.owner is not None:
            self._owned[mailbox.owner].discard(channel)
        if not self._is_own(channel):
            self._subscriber(channel).unsubscribe(channel)
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


def close_before(loop: asyncio.AbstractEventLoop, layers: MutableMapping[asyncio.AbstractEventLoop, LoopLayer]) -> None:
    """Close the layer of an event loop before the loop, which may end without cancelling its tasks."""
    close_loop = loop.close

    def close() -> None:
        layer = layers.get(loop)
        if layer is not None and not loop.is_running():
            del layers[loop]
            loop.run_until_complete(layer.close())
        close_loop()

    # An event loop of C code may refuse it; its layer ends with the process.
    with contextlib.suppress(AttributeError):
        loop.close = close  # type: ignore[method-assign]  # an event loop has no hook for its end


def _escape(name: str) -> str:
    """Return the pattern that matches this name only."""
    return "".join(f"\\{character}" if character in "*?[]\\^-" else character for character in name)
