"""The base class of live consumers: topics, presence, and the messages that a client may send.

The hub delivers events. A consumer connects, replies to its own client, and disconnects.
"""

import logging
import math
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from tidewire import asgi, metrics
from tidewire.asgi import ABNORMAL_CLOSURE, NO_STATUS
from tidewire.auth.feature import SessionFeature
from tidewire.auth.visitors import identity
from tidewire.close_codes import CloseCode
from tidewire.events import Error, Event, Ping, Pong, decode_any
from tidewire.exceptions import MalformedEvent
from tidewire.fanout.connection import attempt
from tidewire.fanout.frames import frame_event
from tidewire.fanout.positions import Positions
from tidewire.presence import PresenceKey
from tidewire.refusals import log_refusal
from tidewire.server.consumer_loop import ConsumerLoop
from tidewire.server.node import node
from tidewire.topics import StreamTopic, Topic

__all__ = ["LiveConsumer"]

logger = logging.getLogger(__name__)

# This many unreadable messages in a row are not accidental.
MALFORMED_LIMIT = 5


class LiveConsumer(ConsumerLoop):
    """A socket with its topics. Subclasses define `topics`, and may refuse a connection in `authorize`.

    Channels' own names keep their meaning: `connect`, `receive`, `disconnect`, `self.scope`. `docs/library.md` has a
    longer example.

    Attributes:
        handlers: Maps the class of each message that a client may send to the name of the method that receives it.

    Raises:
        ValueError: `topics` returned more than TOPICS_PER_CONNECTION topics.

    Example:
        >>> from tidewire.topics import StreamTopic
        >>> class NewsConsumer(LiveConsumer):
        ...     def topics(self):
        ...         return (StreamTopic("news"),)

    """

    handlers: ClassVar[dict[type[Event], str]] = {Ping: "ping"}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        metrics.initialise(cls.__name__)

    def topics(self) -> Sequence[Topic]:
        """Return the topics of this socket, from its route and its user; never from the client's text."""
        return ()

    def presence(self) -> Sequence[PresenceKey]:
        """Return the presence entries of this socket: its user, with topic and phase."""
        return ()

    async def authorize(self) -> CloseCode | None:
        """Return the close code that refuses this socket, or None. The base class requires an authenticated user."""
        return None if self.scope["user"].is_authenticated else CloseCode.UNAUTHENTICATED

    async def ping(self, _message: Ping) -> None:
        """Reply to the client's heartbeat."""
        self.connection.write(_PONG)

    async def connect(self) -> None:
        """Accept or refuse the socket, then subscribe it. Events that are due follow without further calls."""
        self._malformed = 0
        self._second, self._messages, self._received = 0, 0, 0
        self._request_id = asgi.request_id(self.scope)
        name = type(self).__name__
        close_code = await self.authorize()
        # A browser can see a close code only after an accepted handshake.
        await self.accept()
        # No await is allowed between this check and `connect`, or concurrent handshakes would all pass it.
        user = identity(self.scope)
        close_code = close_code or node().exceeded_limit(user) or self._revocation_code()
        if close_code is not None:
            reason = close_code.name.lower()
            metrics.CONNECTS.labels(name, reason).inc()
            # The identity of an anonymous visitor is a session's.
            known = user if self.scope["user"].is_authenticated else ""
            log_refusal(reason, consumer=name, user=known, request_id=self._request_id)
            await self.close(close_code)
            return
        metrics.CONNECTS.labels(name, "accepted").inc()
        this_node = node()
        self.connection = this_node.connect(
            self._writer(),
            consumer=name,
            user=user,
            session=self.scope.get("session_hash", ""),
            # An anonymous session grants no access, so its end need not be checked.
            session_key=sys.intern(self.scope.get("session_key", "")) if self.scope["user"].is_authenticated else "",
            close=self._close_soon,
        )
        # Registered first and therefore called last: if the log line fails, all other resources are released.
        self.connection.add_cleanup(self._log_close)
        topics = self.topics()
        if len(topics) > this_node.settings.TOPICS_PER_CONNECTION:
            raise ValueError(f"{name}: {len(topics)} topics, {this_node.settings.TOPICS_PER_CONNECTION} at most")
        positions = Positions.parse(
            self.scope.get("query_string"),
            {topic.name for topic in topics if isinstance(topic, StreamTopic)},
            limit=this_node.settings.TOPICS_PER_CONNECTION,
        )
        if positions.error:
            await self._reject("malformed", positions.error)
        for topic in topics:
            this_node.hub.subscribe(topic, self.connection, positions)
        for key in self.presence():
            this_node.presence.join(key)
            self.connection.add_cleanup(this_node.presence.leave, key)
        logger.info("connected", extra=self._log_fields())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Read and validate one message of the client, and pass it to the method that `handlers` maps it to."""
        if not hasattr(self, "connection") or self._closing:
            return
        self._received += 1
        limits = node().settings
        if not self._within_rate(limits.MESSAGES_PER_SECOND):
            await self._reject("flooding", f"more than {limits.MESSAGES_PER_SECOND} messages a second")
            await self.close(CloseCode.FLOODING)
        elif (size := len(bytes_data or b"" if text_data is None else text_data.encode())) > limits.MAX_MESSAGE_BYTES:
            await self._reject("too_large", f"{size} bytes, {limits.MAX_MESSAGE_BYTES} at most")
            await self.close(CloseCode.TOO_LARGE)
        else:
            await self._dispatch(text_data)

    async def disconnect(self, code: int) -> None:
        """Hook for projects, called after the socket has closed and the library has released its resources.

        An exception is logged, and `super().disconnect()` need not be called.

        Args:
            code: The close code; 1005 if the client sent none.

        """

    def _log_close(self) -> None:
        code = ABNORMAL_CLOSURE if self.connection.code is None else self.connection.code
        attempt(self._count_close, code)
        ended = {
            "code": code,
            "reason": _reason(code),
            "seconds": round(self.connection.clock() - self.connection.opened_at, 1),
            "received": self._received,
            # The position on each topic; a count of deliveries would add work to each of them.
            "positions": node().hub.positions(self.connection),
        }
        logger.info("closed", extra=self._log_fields() | ended)

    def _count_close(self, code: int) -> None:
        metrics.CLOSES.labels(type(self).__name__, _code_label(code)).inc()

    async def _dispatch(self, text: str | None) -> None:
        try:
            if text is None:
                raise MalformedEvent("binary messages are not understood")
            message = decode_any(text)
            handler = self.handlers.get(type(message))
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
        logger.info("rejected %s reason=%s detail=%r", name, reason, detail, extra=self._log_fields())
        self.connection.write(frame_event(Error(code=reason, detail=detail[:200])))

    def _revocation_code(self) -> CloseCode | None:
        """Return the close code if access was revoked during this handshake, before the socket was registered."""
        started_at = self.scope.get("authentication_started_at", math.inf)
        revocations = node().feature(SessionFeature).revocations
        return revocations.close_code(identity(self.scope), self.scope.get("session_hash", ""), started_at)

    def _log_fields(self) -> dict[str, Any]:
        """Return the fields that identify this socket in a log line; nginx's line has the same request id."""
        # An anonymous visitor's identity may contain an address.
        user = self.connection.user if self.scope["user"].is_authenticated else "anonymous"
        who = {"consumer": type(self).__name__, "user": user}
        return who | ({"request_id": self._request_id} if self._request_id else {})

    def _description(self) -> str:
        if not hasattr(self, "connection"):
            return super()._description()
        return " ".join(f"{name}={value}" for name, value in self._log_fields().items())

    def _within_rate(self, limit: int) -> bool:
        second = int(self.connection.clock())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        return self._messages <= limit


_PONG = frame_event(Pong())


def _reason(code: int) -> str:
    """Return the reason for a close, in one word."""
    if code in CloseCode._value2member_map_:
        return CloseCode(code).name.lower()
    return {1000: "client", 1001: "client", NO_STATUS: "client", 1006: "lost"}.get(code, "other")


def _code_label(code: int) -> str:
    """Return a label from a closed set: tidewire's codes and the protocol's; other codes of a client are `other`."""
    if code in CloseCode._value2member_map_ or 1000 <= code <= 1015:
        return str(code)
    return "other"
