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

from tidewire import asgi, metrics
from tidewire.asgi import LOST, NO_CODE
from tidewire.close_codes import CloseCode
from tidewire.connection import Connection, Writer, attempt
from tidewire.events import Error, Event, Ping, Pong, decode_any
from tidewire.exceptions import MalformedEvent
from tidewire.frames import frame_event
from tidewire.inbox import LEAVE_SECONDS, Inbox
from tidewire.node import node
from tidewire.positions import Positions
from tidewire.presence import Hold
from tidewire.requests import ID_LENGTH
from tidewire.send_writer import SendWriter, abort
from tidewire.topics import StreamTopic, Topic
from tidewire.visitors import identity

logger = logging.getLogger(__name__)

# So many messages in a row that cannot be read are no accident.
MALFORMED_LIMIT = 5
# The server's own handlers of a connection answer within milliseconds. A database that hangs must not keep a handshake,
# which a proxy or a browser would otherwise wait for: it is closed with a code that comes back.
CONNECT_SECONDS = 10.0
# The part of the scope that an open socket needs. Headers, cookies and session are 5 KB for each.
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
    _accepted = False
    # Whether the project's `disconnect` was called.
    _left = False

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
        # Held first, so released last: the line of the log may fail, and must find everything else released.
        self.connection.hold(self._tell_end)
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
        for hold in self.present():
            here.register.join(hold)
            self.connection.hold(here.register.leave, hold)
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
        """Called when the socket has gone and the library has released everything that it held: a project's hook.

        `code` is 1005 if the client named none. An exception is logged, and nothing relies on `super().disconnect()`.
        """

    async def accept(self, *arguments: Any, **options: Any) -> None:
        self._accepted = True
        await super().accept(*arguments, **options)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close from this end, once; autobahn wants a plain number."""
        if self._closing:
            return
        self._closing = True
        await super().close(code if code is None else int(code), reason)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Channels' own loop, less its task per connection: there is one source of messages.

        If the server can hand messages over by itself, this returns once the socket is open.
        """
        self.scope = asgi.complete(scope)
        self.base_send = send
        detached = False
        try:
            first = await receive()
            deadline = asyncio.timeout(CONNECT_SECONDS)
            try:
                async with deadline:
                    await self.dispatch(first)
            except TimeoutError:
                if not deadline.expired():
                    raise
                await self._connect_late()
            if hasattr(self, "connection"):
                self.scope = {name: scope[name] for name in KEPT if name in scope}
                detach = getattr(self.connection.writer, "detach", None)
                if detach is not None:
                    detach(self.dispatch, self._flooded)
                    detached = True
                    return
            await self._receive(receive)
        except StopConsumer:
            pass
        except Exception:
            self._end(LOST)
            if hasattr(self, "connection"):
                await self._leave(LOST)
            raise
        finally:
            # Also if the server gave the application up.
            if not detached:
                self._end(LOST)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' dispatch, less its thread hop to close old database connections.

        `database_sync_to_async` closes them after each use of the database, which is where they arise.
        """
        await getattr(self, message["type"].replace(".", "_"))(message)

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        text, data = asgi.content(message)
        await self.receive(text_data=text, bytes_data=data)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        code = asgi.close_code(message)
        self._end(code)
        if not hasattr(self, "connection"):
            attempt(self._count_close, code)
        await self._leave(code)
        raise StopConsumer

    def _end(self, code: int) -> None:
        """Release everything that this socket holds. It may be called any number of times."""
        if hasattr(self, "connection"):
            self.connection.end(code)

    async def _leave(self, code: int) -> None:
        """Call the project's `disconnect`, once."""
        if self._left:
            return
        self._left = True
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.disconnect(code)
        except StopConsumer:
            pass
        except Exception:
            logger.exception("%s.disconnect failed; the socket had been released before", type(self).__name__)

    async def _receive(self, receive: Any) -> None:
        """Take messages from a server that hands none over by itself, also while one of them is being handled."""
        running = asyncio.current_task()
        assert running is not None
        failed: list[BaseException | None] = []

        def fail(error: BaseException | None = None) -> None:
            failed.append(error)
            running.cancel()

        def cut() -> None:
            # First, because the server may close what is closed already, but not the other way around.
            abort(receive)
            fail()

        inbox = Inbox(self.dispatch, fail, self._flooded)
        if hasattr(self, "connection") and isinstance(self.connection.writer, SendWriter):
            self.connection.writer.on_cut = cut
        try:
            while True:
                message = await receive()
                inbox.put_nowait(message)
                if message["type"] == "websocket.disconnect":
                    # Not behind a message that is still being handled.
                    self._end(asgi.close_code(message))
                    await inbox.finished()
                    return
        except asyncio.CancelledError:
            if not failed:
                raise
            running.uncancel()
            if failed[0] is not None:
                raise failed[0] from None
            # Daphne leaves the socket of an application that returns open.
            self._close_soon(None)
        finally:
            inbox.close()

    def _flooded(self) -> None:
        """More messages wait than a client may have sent: close, and handle none of the others."""
        if hasattr(self, "connection") and not self._closing:
            metrics.REJECTED.labels(type(self).__name__, "flooding").inc()
            self._close_soon(CloseCode.FLOODING)

    async def _connect_late(self) -> None:
        """The connection was not ready in time: close it with a code that a browser sees and comes back from."""
        logger.warning("%s: connect did not end within %s s", type(self).__name__, CONNECT_SECONDS)
        metrics.CONNECTS.labels(type(self).__name__, CloseCode.FAILED.name.lower()).inc()
        if not self._accepted:
            await self.accept()
        await LiveConsumer.close(self, CloseCode.FAILED)

    def _tell_end(self) -> None:
        code = LOST if self.connection.code is None else self.connection.code
        attempt(self._count_close, code)
        ended = {
            "code": code,
            "reason": _reason(code),
            "seconds": round(time.monotonic() - self.connection.opened, 1),
            "received": self._received,
            # The position on each topic costs deliveries nothing, which a count of them would.
            "positions": {each.feed.name: each.position for each in self.connection.subscriptions},
        }
        logger.info("closed", extra=self._who() | ended)

    def _count_close(self, code: int) -> None:
        metrics.CLOSES.labels(type(self).__name__, _code_label(code)).inc()

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
        offered: Writer | None = self.scope["extensions"].get("tidewire.writer")
        if offered is not None:
            return offered
        writer = SendWriter(self.base_send)
        # What this consumer sends, its close above all, comes after what the hub wrote.
        self.base_send = writer.send
        return writer

    def _close_soon(self, code: CloseCode | None) -> None:
        # Not the project's `close`, which may fail: a drain and a revocation rely on this one.
        closing = asyncio.ensure_future(LiveConsumer.close(self, code))
        closing.add_done_callback(_swallow)


_PONG = frame_event(Pong())


def _swallow(closing: "asyncio.Future[None]") -> None:
    """A close may meet a socket that has just gone; the server reports that by itself."""
    if not closing.cancelled() and (error := closing.exception()):
        logger.debug("close failed: %s", error)


def _request_id(scope: dict[str, Any]) -> str:
    return asgi.header(scope, b"x-request-id")[:ID_LENGTH].decode("ascii", "replace")


def _reason(code: int) -> str:
    """The cause of a close, in a word."""
    if code in CloseCode._value2member_map_:
        return CloseCode(code).name.lower()
    return {1000: "client", 1001: "client", NO_CODE: "client", 1006: "lost"}.get(code, "other")


def _code_label(code: int) -> str:
    """A closed set of labels: our codes and the protocol's; a client's own choice is `other`."""
    if code in CloseCode._value2member_map_ or 1000 <= code <= 1015:
        return str(code)
    return "other"
