"""Channels' loop of one consumer, with the same order and the same errors, at a fraction of the cost per event.

Channels creates a task, waits for two and changes threads for each event of the channel layer. Here one task receives
events as long as the socket is open.
"""

import asyncio
import contextvars
import copy
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer
from channels.layers import get_channel_layer

from tidewire.adoption import old_connections
from tidewire.adoption.contexts import restore_context
from tidewire.asgi import claim_task

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


# Layers that give each consumer an event of its own. The core layer of channels_redis gives all consumers of a process
# the same object, so that a consumer would see the changes of another.
_COPYING_LAYERS = (
    "tidewire.layers.redis_layer.RedisChannelLayer",
    "channels_redis.pubsub.RedisPubSubChannelLayer",
    "channels.layers.InMemoryChannelLayer",
)


def _gives_copies(layer: Any) -> bool:
    return f"{type(layer).__module__}.{type(layer).__qualname__}" in _COPYING_LAYERS


class Dispatch:
    """Serves one socket with an async consumer, an instance of the project's class. `serve` is called once."""

    def __init__(self, consumer: Any, send: Send) -> None:
        self._consumer = consumer
        self._send = send
        # A single handler runs at a time, in the order in which client and channel layer sent the messages.
        self._turn = asyncio.Lock()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        self._receiving = False
        self._event_context = contextvars.copy_context()

    async def serve(self, scope: Message, receive: Receive) -> None:
        """Handle the messages of client and channel layer until the consumer stops."""
        consumer = self._consumer
        consumer.scope = scope
        consumer.channel_layer = get_channel_layer(consumer.channel_layer_alias)
        events: asyncio.Task[None] | None = None
        if consumer.channel_layer is not None:
            consumer.channel_name = await consumer.channel_layer.new_channel()
            consumer.channel_receive = functools.partial(consumer.channel_layer.receive, consumer.channel_name)
        consumer.base_send = self._base_send()
        self._task = asyncio.current_task()
        try:
            if consumer.channel_layer is not None:
                events = asyncio.create_task(self._receive_events(), context=self._event_context)
                claim_task(scope, events)
            while True:
                message = await receive()
                async with self._turn:
                    await self._handle_of_client(message)
        except StopConsumer:
            return
        except asyncio.CancelledError:
            if self._failure is None or self._task is None:
                raise
            self._task.uncancel()
            if not isinstance(self._failure, StopConsumer):
                raise self._failure from None
        finally:
            if events is not None:
                await self._leave(events)

    def _base_send(self) -> Any:
        """Return the function by which the consumer sends a message to its client."""
        return self._send

    async def _handle_of_client(self, message: Message) -> None:
        handler = self._handler(message)
        # With Channels all handlers of a socket run in one task: a context variable that one sets is seen by the next.
        restore_context(self._event_context)
        await old_connections.close()
        try:
            await handler(message)
        finally:
            self._event_context.run(restore_context, contextvars.copy_context())

    async def _handle_event(self, message: Message) -> None:
        handler = self._handler(message)
        await old_connections.close_before_event()
        await handler(message)

    def _handler(self, message: Message) -> Any:
        handler = getattr(self._consumer, get_handler_name(message), None)
        if not handler:
            raise ValueError(f"No handler for message type {message['type']}")
        return handler

    async def _receive_events(self) -> None:
        """Receive and handle events of the channel layer."""
        receive = self._consumer.channel_receive
        owns = _gives_copies(self._consumer.channel_layer)
        try:
            while True:
                self._receiving = True
                message = await receive()
                self._receiving = False
                async with self._turn:
                    try:
                        await self._handle_event(message if owns else copy.deepcopy(message))
                    except asyncio.CancelledError:
                        raise
                    except BaseException as error:  # noqa: BLE001 - the socket's own task raises it
                        self._fail(error)
                        return
        except Exception as error:  # noqa: BLE001 - an error of the channel layer, raised between two handlers
            async with self._turn:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Let `serve` end with this exception."""
        assert self._task is not None
        self._failure = error
        self._task.cancel()

    async def _leave(self, events: "asyncio.Task[None]") -> None:
        """End the task of events, and release the consumer's channel."""
        events.cancel()
        await asyncio.wait([events])
        # A layer releases a channel when its `receive` is cancelled; Channels has one that waits at nearly any time.
        while not self._receiving:
            last = asyncio.ensure_future(self._consumer.channel_receive())
            await asyncio.sleep(0)
            self._receiving = not last.done() or last.exception() is not None
            last.cancel()
            await asyncio.wait([last])
