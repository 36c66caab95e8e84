"""A node in the event loop of a test, with stores in memory: sockets, topics and presence without Redis."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from channels.layers import channel_layers
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.utils.module_loading import import_string

from tidewire import substitutes
from tidewire.adopt import adopt
from tidewire.conf import Settings, settings
from tidewire.events import StreamEvent
from tidewire.models import OutboxEvent
from tidewire.publishing import outbox
from tidewire.publishing.publisher import Publisher
from tidewire.server.current_node import create_node, set_node
from tidewire.server.node import Node
from tidewire.streams import Appended
from tidewire.testing.clock import MovableClock
from tidewire.testing.edit_leases import MemoryEditLeases
from tidewire.testing.layer import MemoryLayer
from tidewire.testing.presence import MemoryPresence
from tidewire.testing.sockets import MemorySocket
from tidewire.testing.streams import MemoryStreams

HOST: Final = "testserver"
# A row of the outbox is published this soon after its commit.
PUBLISH_SECONDS: Final = 0.01
# A test may have made the streams unavailable, and a socket can then follow nothing.
SUBSCRIBE_SECONDS: Final = 1.0


class MemoryNode:
    """A node of tidewire in the test's event loop, which needs no Redis. Use it as an asynchronous context manager.

    Within it all channel layers are in memory, and an event of `publish` reaches the sockets once its transaction
    commits, as in production. Django's `TestCase` never commits the transaction around a test: there, an event counts
    as committed when the project's own `atomic()` blocks have ended.

    Attributes:
        streams: The events of all stream topics, with the faults of a real Redis.
        presence: The members of all presence topics.

    Args:
        application: The ASGI application; by default that of the setting ASGI_APPLICATION.

    Raises:
        ImproperlyConfigured: There is no application, or TIDEWIRE has no valid settings.

    Example:
        >>> import asyncio
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from tidewire.consumers import LiveConsumer
        >>> from tidewire.events import StreamEvent
        >>> from tidewire.topics import StreamTopic
        >>> class NewsPosted(StreamEvent):
        ...     type: Literal["news.posted"] = "news.posted"
        ...     topic: str = "news"
        ...     title: str
        >>> class NewsConsumer(LiveConsumer):
        ...     async def authorize(self):
        ...         return None
        ...     def topics(self):
        ...         return (StreamTopic("news"),)
        >>> async def read_news():
        ...     from django.contrib.auth.models import AnonymousUser
        ...     async with MemoryNode(NewsConsumer.as_asgi()) as node:
        ...         socket = await node.connect("/", scope={"user": AnonymousUser()})
        ...         await node.publish(NewsPosted(id=uuid4(), title="Hello"))
        ...         event = await socket.expect("news.posted")
        ...         await node.move(30)
        ...         return event["title"]
        >>> asyncio.run(read_news())
        'Hello'

    """

    streams: MemoryStreams
    presence: MemoryPresence

    def __init__(self, application: Any = None) -> None:
        self._application = application
        self._sockets: list[MemorySocket] = []
        self._old_layers: dict[str, Any] = {}
        self._published = asyncio.Event()
        self._ending = False
        self._publisher = Publisher()

    async def __aenter__(self) -> Self:
        options = settings()
        if self._application is None:
            self._application = _application_of_settings()
        self._application = adopt(self._application)
        self._loop = asyncio.get_running_loop()
        self._clock = MovableClock()
        self._use_stores(options)
        self._use_layers(options)
        self._node = create_node(options, clock=self._clock.time)
        set_node(self._node)
        self._connections = await sync_to_async(_keep_connections)()
        outbox.watchers.append(self._note)
        self._publishing = asyncio.create_task(self._publish_committed())
        return self

    async def __aexit__(self, *_error: object) -> None:
        outbox.watchers.remove(self._note)
        try:
            for socket in self._sockets:
                # A failure of the application was raised where the test waited, or the test has failed already.
                with contextlib.suppress(Exception, AssertionError):
                    await socket.close()
        finally:
            # Ended by itself: a batch that runs in another thread cannot be cancelled.
            self._ending = True
            self._published.set()
            [failure] = await asyncio.gather(self._publishing, return_exceptions=True)
            await self._node.stop()
            for name, layer in self._old_layers.items():
                if layer is None:
                    channel_layers.backends.pop(name, None)
                else:
                    channel_layers.set(name, layer)
            substitutes.use({})
            self._clock.restore()
            for kept in self._connections:
                del kept.close_if_unusable_or_obsolete
        if failure is not None:
            raise failure

    async def connect(
        self,
        path: str,
        *,
        client: Any = None,
        headers: Mapping[str, str] | None = None,
        subprotocols: Sequence[str] = (),
        scope: Mapping[str, Any] | None = None,
    ) -> MemorySocket:
        """Open a socket, as a page of this site would.

        Args:
            path: Path and query, such as `/ws/notifications/`.
            client: A client of Django's tests: `self.client` or `self.async_client` after `force_login` or
                `aforce_login`. The socket sends its cookies.
            headers: Headers of the handshake by name.
            subprotocols: Subprotocols that the client offers.
            scope: More of the ASGI scope, such as `user`, for a consumer without routes and authentication.

        Returns:
            The open socket, which the node closes at its end.

        """
        # The first origin that the project allows, if it does not allow its own.
        sent = {"host": HOST, "origin": next(iter(settings().ALLOWED_ORIGINS), f"http://{HOST}")}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        if client is not None and client.cookies:
            sent["cookie"] = "; ".join(f"{each.key}={each.coded_value}" for each in client.cookies.values())
        url = urlsplit(path)
        opened = MemorySocket(
            self._application,
            {
                "path": url.path,
                "raw_path": url.path.encode(),
                "query_string": url.query.encode(),
                "headers": [(name.encode(), value.encode("latin1")) for name, value in sent.items()],
                "subprotocols": list(subprotocols),
                **(scope or {}),
            },
        )
        self._sockets.append(opened)
        await opened.open()
        await self._subscribed()
        return opened

    async def publish(self, event: StreamEvent) -> Appended:
        """Publish an event at once, without the outbox.

        Args:
            event: The event with its topic and an id of its own.

        Returns:
            The event's position, and whether it is new.

        """
        return await self._node.publish(event)

    async def move(self, seconds: float) -> None:
        """Move the clock, and let everything happen that is due by then: timers, leases, the grace of a departure.

        Args:
            seconds: The time by which the clock moves. It takes far less in reality.

        """
        await self._clock.move(seconds)

    @property
    def node(self) -> Node:
        """The node itself, for the tests of a feature."""
        return self._node

    async def _subscribed(self) -> None:
        """Wait until all sockets follow their topics: an event before that would be history to them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIBE_SECONDS):
                while any(None in self._node.hub.positions(each).values() for each in self._node.connections):  # noqa: ASYNC110  # no event reports it
                    await asyncio.sleep(PUBLISH_SECONDS)

    async def _publish_once(self) -> bool:
        """Publish what is committed, unless the test has ended. Returns whether more may follow."""
        return not self._ending and await sync_to_async(_publish_outbox)(self._publisher)

    def _use_stores(self, options: Settings) -> None:
        self.streams = MemoryStreams(length=options.HISTORY_LENGTH)
        self.presence = MemoryPresence(
            lease_seconds=options.LEASE_SECONDS,
            grace_seconds=options.GRACE_SECONDS,
            indexes=options.PRESENCE_INDEXES,
            clock=self._clock.time,
        )
        leases = MemoryEditLeases(
            lease_seconds=options.EDIT_LEASE_SECONDS,
            answer_seconds=options.EDIT_ANSWER_SECONDS,
            grace_seconds=options.GRACE_SECONDS,
            changed=self.presence.bump,
            clock=self._clock.time,
        )
        substitutes.use(
            {
                "presence": self.presence,
                "streams": self.streams,
                "edit leases": leases,
                "publisher": self._publisher,
            }
        )

    def _use_layers(self, options: Settings) -> None:
        layer = MemoryLayer(capacity=10_000)
        for name in {"default", options.CHANNEL_LAYER, *getattr(django_settings, "CHANNEL_LAYERS", {})}:
            self._old_layers[name] = channel_layers.set(name, layer)

    def _note(self, _events: Sequence[StreamEvent]) -> None:
        self._loop.call_soon_threadsafe(self._published.set)

    async def _publish_committed(self) -> None:
        """Publish the outbox as the publisher of a process does, through the test's own connection to the database."""
        while not self._ending:
            await self._published.wait()
            self._published.clear()
            while await self._publish_once():  # noqa: ASYNC110  # no event reports a commit
                await asyncio.sleep(PUBLISH_SECONDS)


def _keep_connections() -> list[Any]:
    """Keep the open database connections, and return them.

    Channels closes old ones before each message. To Django a connection within a transaction is old, so that it would
    close that of a `TestCase`, and the rest of the test would fail.
    """
    kept: list[Any] = list(connections.all(initialized_only=True))
    for each in kept:
        each.close_if_unusable_or_obsolete = _keep
    return kept


def _keep() -> None:
    """Do nothing, in place of a method of a connection."""


def _publish_outbox(publisher: Publisher) -> bool:
    """Publish the events that are committed. Returns whether others may follow."""
    if outbox.in_transaction():
        return True
    publisher.publish()
    if connection.vendor == "postgresql" and connection.in_atomic_block:
        # Limits of the publisher's transaction, which would otherwise be those of the whole test.
        with connection.cursor() as cursor:
            for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout"):
                cursor.execute(f"RESET {name}")
    return OutboxEvent.objects.exists()


def _application_of_settings() -> Callable[..., Any]:
    path = getattr(django_settings, "ASGI_APPLICATION", None)
    if not path:
        raise ImproperlyConfigured("settings.ASGI_APPLICATION is missing: set it, or use MemoryNode(application)")
    application: Callable[..., Any] = import_string(path)
    return application
