"""The base class of live consumers: topics, who is present, what the client may say.

The hub delivers; a consumer only connects, answers its own client, and leaves.
"""

import asyncio
import logging
import math
import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.connection import Connection, Writer
from tidewire.events import Error, Event, Ping, Pong, decode_any
from tidewire.exceptions import MalformedEvent
from tidewire.frames import frame_event
from tidewire.node import node
from tidewire.positions import Positions
from tidewire.presence import Hold
from tidewire.requests import ID_LENGTH
from tidewire.send_writer import SendWriter
from tidewire.topics import StreamTopic, Topic
from tidewire.visitors import identity

logger = logging.getLogger(__name__)

# So many messages in a row that cannot be read are no accident.
MALFORMED_LIMIT = 5
# What ASGI means where a server names no code.
NO_CODE = 1005
# What stays of the scope once the socket is open. Headers, cookies and session are 5 KB for each.
KEPT = ("type", "path", "user", "url_route")


class LiveConsumer(AsyncWebsocketConsumer):
    """A socket on some topics. Subclasses say which in `topics`, and refuse in `refuse`.

    Channels' own names keep their meaning: `connect`, `receive`, `disconnect`, `self.scope`.
    """

    # No layer of that name is configured: the hub is the process's one member of each group,
    # so a connection needs no channel, no subscription and no task of its own.
    channel_layer_alias = "tidewire: the hub listens"

    # Whether the close was sent: what a flooding client says until it reads that is not worth a look.
    _closing = False

    says: ClassVar[dict[type[Event], str]] = {Ping: "ping"}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        metrics.begin(cls.__name__)

    def topics(self) -> Sequence[Topic]:
        """The topics of this socket, from its route and its user; never from client text."""
        return ()

    def present(self) -> Sequence[Hold]:
        """As whom this socket is present, and where."""
        return ()

    async def refuse(self) -> CloseCode | None:
        """Why this socket may not be had; None: it may. The base class wants a logged-in user."""
        return None if self.scope["user"].is_authenticated else CloseCode.UNAUTHENTICATED

    async def ping(self, _message: Ping) -> None:
        """The client's heartbeat."""
        self.connection.write(_PONG)

    async def connect(self) -> None:
        """Accept or refuse, then subscribe. What is due follows by itself."""
        self.connection: Connection
        self._holds: Sequence[Hold] = ()
        self._malformed = 0
        self._second, self._messages, self._received = 0, 0, 0
        self._request_id = _request_id(self.scope)
        name = type(self).__name__
        refused = await self.refuse()
        # A browser sees a close code only after an accepted handshake.
        await self.accept()
        # Nothing is awaited between this and taking the socket in, or many at once would pass the same check.
        user = identity(self.scope)
        refused = refused or node().refuse(user) or self._ended()
        if refused is not None:
            metrics.CONNECTS.labels(name, refused.name.lower()).inc()
            await self.close(refused)
            return
        metrics.CONNECTS.labels(name, "accepted").inc()
        here = node()
        self.connection = here.connect(
            self._writer(),
            consumer=name,
            user=user,
            session=self.scope.get("session_mark", ""),
            # An anonymous session grants nothing, so its end is not looked for.
            session_key=sys.intern(self.scope.get("session_key", "")) if self.scope["user"].is_authenticated else "",
            close=self._close_soon,
        )
        topics = self.topics()
        if len(topics) > here.settings.TOPICS_PER_CONNECTION:
            raise ValueError(f"{name}: {len(topics)} topics, {here.settings.TOPICS_PER_CONNECTION} at most")
        positions = Positions.parse(
            self.scope.get("query_string"),
            {topic.name for topic in topics if isinstance(topic, StreamTopic)},
            limit=here.settings.TOPICS_PER_CONNECTION,
        )
        if positions.complaint:
            await self._reject("malformed", positions.complaint)
        for topic in topics:
            here.hub.subscribe(topic, self.connection, positions)
        self._holds = tuple(self.present())
        for hold in self._holds:
            here.register.join(hold)
        logger.info("connected", extra=self._who())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Read one message of the client strictly, and hand it to the method that `says` names."""
        if not hasattr(self, "connection") or self._closing:
            return
        self._received += 1
        limits = node().settings
        if not self._within_rate(limits.MESSAGES_PER_SECOND):
            await self._reject("flooding", f"more than {limits.MESSAGES_PER_SECOND} messages a second")
            await self.close(CloseCode.FLOODING)
        elif (size := len(bytes_data or b"" if text_data is None else text_data.encode())) > limits.MESSAGE_BYTES:
            await self._reject("too_large", f"{size} bytes, {limits.MESSAGE_BYTES} at most")
            await self.close(CloseCode.TOO_LARGE)
        else:
            await self._dispatch(text_data)

    async def disconnect(self, code: int) -> None:
        """Leave everything that `connect` joined."""
        name = type(self).__name__
        metrics.CLOSES.labels(name, _code_label(code)).inc()
        if not hasattr(self, "connection"):
            return
        here = node()
        here.disconnect(self.connection)
        for hold in self._holds:
            here.register.leave(hold)
        told = {
            "code": int(code),
            "reason": _reason(code),
            "seconds": round(time.monotonic() - self.connection.opened, 1),
            "received": self._received,
            # How far it came on each topic, which costs deliveries nothing, as a count of them would.
            "positions": {each.feed.name: each.position for each in self.connection.subscriptions},
        }
        logger.info("closed", extra=self._who() | told)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close from this end, once; autobahn wants a plain number."""
        if self._closing:
            return
        self._closing = True
        await super().close(code if code is None else int(code), reason)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels' own loop, less its task per connection: there is one source of messages.

        Where the server can, the loop ends once the socket is open, and messages come by themselves.
        """
        self.scope = scope
        self.base_send = send
        try:
            await self.dispatch(await receive())
            if hasattr(self, "connection"):
                self.scope = {name: scope[name] for name in KEPT if name in scope}
                detach = getattr(self.connection.writer, "detach", None)
                if detach is not None:
                    detach(self.dispatch)
                    return
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except BaseException:
            # Also where the server gave up on the application: nobody stays a member by accident.
            if hasattr(self, "connection") and self.connection in node().connections:
                await self.disconnect(1006)
            raise

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' dispatch, less its thread hop to close old database connections.

        `database_sync_to_async` closes them after each use of the database, which is where they arise.
        """
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        await self.disconnect(message.get("code", NO_CODE))
        raise StopConsumer

    async def _dispatch(self, text: str | None) -> None:
        try:
            if text is None:
                raise MalformedEvent("binary messages are not understood")
            message = decode_any(text)
            handler = self.says.get(type(message))
            if handler is None:
                raise MalformedEvent(f"type: a client does not send {message.type!r} here")
        except MalformedEvent as error:
            self._malformed += 1
            await self._reject("malformed", str(error))
            if self._malformed >= MALFORMED_LIMIT:
                await self.close(CloseCode.MALFORMED)
            return
        self._malformed = 0
        await getattr(self, handler)(message)

    async def _reject(self, reason: Any, detail: str) -> None:
        name = type(self).__name__
        metrics.REJECTED.labels(name, reason).inc()
        logger.info("rejected %s user=%s reason=%s detail=%r", name, self.connection.user, reason, detail)
        self.connection.write(frame_event(Error(code=reason, detail=detail[:200])))

    def _ended(self) -> CloseCode | None:
        """Why not, where access ended during this handshake: the event came before the socket."""
        asked_at = self.scope.get("asked_at", math.inf)
        return node().revocations.ended(identity(self.scope), self.scope.get("session_mark", ""), asked_at)

    def _who(self) -> dict[str, Any]:
        """What a line of the log says of this socket; the request id is that of nginx's line of the handshake."""
        who = {"consumer": type(self).__name__, "user": self.connection.user}
        return who | ({"request_id": self._request_id} if self._request_id else {})

    def _within_rate(self, limit: int) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        return self._messages <= limit

    def _writer(self) -> Writer:
        offered: Writer | None = (self.scope.get("extensions") or {}).get("tidewire.writer")
        if offered is not None:
            return offered
        writer = SendWriter(self.base_send)
        # What this consumer sends, its close above all, comes after what the hub wrote.
        self.base_send = writer.send
        return writer

    def _close_soon(self, code: CloseCode) -> None:
        closing = asyncio.ensure_future(self.close(code))
        closing.add_done_callback(_swallow)


_PONG = frame_event(Pong())


def _swallow(closing: "asyncio.Future[None]") -> None:
    """A close may meet a socket that has just gone; the server reports that by itself."""
    if not closing.cancelled() and (error := closing.exception()):
        logger.debug("close failed: %s", error)


def _request_id(scope: dict[str, Any]) -> str:
    found = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return str(found[:ID_LENGTH].decode("ascii", "replace"))


def _reason(code: int) -> str:
    """Who closed and why, in a word."""
    if code in CloseCode._value2member_map_:
        return CloseCode(code).name.lower()
    return {1000: "client", 1001: "client", NO_CODE: "client", 1006: "lost"}.get(code, "other")


def _code_label(code: int) -> str:
    """A closed set of labels: our codes and the protocol's; a client's own choice is `other`."""
    if code in CloseCode._value2member_map_ or 1000 <= code <= 1015:
        return str(code)
    return "other"
