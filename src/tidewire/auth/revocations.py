"""Revocations: a stream topic that every node follows, so that sockets close as soon as access has ended.

A node that has not caught up with the topic must not trust a ticket, and reads the session instead.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from tidewire import metrics
from tidewire.auth.revoked import TOPIC, Revoked
from tidewire.auth.sessions import session_hash
from tidewire.auth.stamps import RedisClock
from tidewire.auth.ticket import Ticket
from tidewire.close_codes import CloseCode
from tidewire.conf import settings
from tidewire.events import Resumed, decode_any
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.connection import Connection
from tidewire.fanout.frames import Frame
from tidewire.fanout.hub import Hub
from tidewire.fanout.positions import Positions
from tidewire.fanout.subscription import Subscription
from tidewire.topics import ANY_MARK, START, Position

logger = logging.getLogger(__name__)

# Number of events that a node reads again after a gap; fewer than one read of history returns.
REREAD_EVENTS = 500
# Accuracy of a node's knowledge of Redis's time: the round trip of its question.
CLOCK_MS = 5_000


class _Received(NamedTuple):
    """A revocation that this node has received. `at` is in seconds of `time.monotonic`."""

    epoch: str
    offset: int
    at: float
    final: bool


class Revocations:
    """The revocations received by a node. Closes sockets as they arrive, and validates tickets.

    Args:
        hub: The hub of the node, to follow the topic.
        connections: Returns the open connections of the node.
        clock: Redis's clock, which dates tickets.
        publish: Publishes a revocation to all nodes; may raise `RedisUnavailable`.
        on_data_loss: Called if revocations may be lost for good.

    """

    def __init__(
        self,
        hub: Hub,
        connections: Callable[[], Iterable[Connection]],
        *,
        clock: RedisClock,
        publish: Callable[[Revoked], Awaitable[object]],
        on_data_loss: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub = hub
        self._connections = connections
        self._clock = clock
        self._publish = publish
        self._on_data_loss = on_data_loss
        self._users: dict[str, _Received] = {}
        self._sessions: dict[str, _Received] = {}
        # The topic's epoch, and the marks of the positions after which this node knows all revocations, oldest first.
        self._epoch = START.epoch
        self._marks: dict[int, str] = {}
        self._rereading = False
        self._caught_up = False
        self._subscription: Subscription | None = None
        # The ids of the last events, oldest first, so that reading them again closes no socket a second time.
        self._received_ids: dict[UUID, None] = {}

    def follow(self, at: Position = START) -> None:
        """Follow the topic, from the beginning of its history or from a position.

        Args:
            at: Position of the last known event.

        """
        if self._subscription is not None:
            self._hub.unsubscribe(self._subscription)
        self._caught_up = False
        listener = Connection(
            self,
            consumer="revocations",
            user="",
            session="",
            limit=0,
            close=lambda _code: None,
            on_full=lambda _connection: None,
        )
        self._subscription = self._hub.subscribe(TOPIC, listener, Positions({TOPIC.name: at}))

    def allows(self, ticket: Ticket) -> bool:
        """Return whether a ticket is valid.

        A ticket contains the position of the revocations before its session was read; later ones must not concern it.

        Args:
            ticket: The ticket, whose signature was checked.

        Returns:
            True if it is valid. False also if this node cannot know; the session must then be read.

        """
        now_ms = self._clock.now_ms()
        if not self.is_current() or now_ms is None:
            return False
        age_ms = now_ms - ticket.issued_ms
        if not -CLOCK_MS <= age_ms <= settings().TICKET_SECONDS * 1000:
            return False
        position = ticket.position
        if position.epoch != self._epoch or self._marks.get(position.offset) != position.mark:
            return False
        revocations = (self._users.get(str(ticket.pk)), self._sessions.get(ticket.session))
        return all(
            each is None or (each.epoch == position.epoch and each.offset <= position.offset) for each in revocations
        )

    def is_current(self) -> bool:
        """Return whether this node has all revocations that were published."""
        return self._caught_up and not self._hub.stale

    def close_code(self, user: str, session: str, since: float) -> CloseCode | None:
        """Return the reason to refuse a socket whose user was looked up before.

        Args:
            user: Primary key of the user as text.
            session: Hash of the session; empty without one.
            since: Time of the look-up in seconds of `time.monotonic`.

        Returns:
            The close code; None if access was not revoked.

        """
        revocation = self._sessions.get(session)
        if revocation is not None and revocation.final:
            return CloseCode.REVOKED
        # The client reconnects and is authenticated again.
        missed = [each for each in (revocation, self._users.get(user)) if each is not None and each.at >= since]
        return CloseCode.EXPIRED if missed else None

    async def end_session(self, user: str, key: str, final: bool) -> None:
        """Refuse the tickets of a session that ended without an event, here and on the other nodes.

        Args:
            user: Primary key of the user as text.
            key: Key of the session.
            final: True if access has ended; False if it must be checked again.

        """
        hash_of_session = session_hash(key)
        _remember(self._sessions, hash_of_session, _Received(START.epoch, 0, time.monotonic(), final))
        try:
            await self._publish(Revoked(id=uuid4(), user=user, session=hash_of_session, final=final))
        except RedisUnavailable as error:
            logger.warning("the end of a session was not published; other nodes detect it later: %s", error)

    # A `Writer` for the hub, by which the topic's events reach this class instead of a socket.

    backlog = 0

    def write(self, frames: list[Frame], wire: bytes) -> None:
        """Receive the events that the hub delivers.

        Args:
            frames: The events, oldest first.
            wire: The same events as bytes of WebSocket frames, which are not used here.

        """
        for frame in frames:
            self._receive(decode_any(frame.text))

    def try_write(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        """Receive the events that the hub delivers; there is always room.

        Args:
            frames: The events, oldest first.
            wire: The same events as bytes of WebSocket frames, which are not used here.
            limit: Most bytes that may wait, which are not used here.

        Returns:
            True.

        """
        self.write(frames, wire)
        return True

    def abort(self) -> None:
        """There is no connection to abort."""

    def _receive(self, event: Any) -> None:
        if isinstance(event, Resumed):
            self._resume(event)
        elif isinstance(event, Revoked) and event.id not in self._received_ids:
            self._received_ids[event.id] = None
            if len(self._received_ids) > REREAD_EVENTS:
                del self._received_ids[next(iter(self._received_ids))]
            self._drop_expired()
            assert event.offset is not None
            self._record_position(event.offset, event.mark or "")
            revocation = _Received(self._epoch, event.offset, time.monotonic(), event.final)
            if event.session is None:
                _remember(self._users, event.user, revocation)
            else:
                _remember(self._sessions, event.session, revocation)
            self._close(event)

    def _resume(self, event: Resumed) -> None:
        """Record the position from which on all revocations are known. Read back once if some are missing."""
        self._caught_up = True
        at = Position.parse(event.at)
        if at is not None and (at.epoch != self._epoch or not event.recovered):
            self._epoch, self._marks = at.epoch, {}
        # A position reached by reading back has no mark of its own; later events have theirs.
        if at is not None:
            self._record_position(at.offset, at.mark)
        self._rereading = not event.recovered and not self._rereading
        if not event.recovered:
            self._on_data_loss()
        if self._rereading and at is not None:
            self.follow(Position(at.epoch, max(0, at.offset - REREAD_EVENTS), ANY_MARK))

    def _record_position(self, offset: int, mark: str) -> None:
        """Record a position: a ticket with it was issued after exactly these events had been published."""
        self._marks.setdefault(offset, mark)
        if len(self._marks) > REREAD_EVENTS:
            del self._marks[next(iter(self._marks))]

    def _close(self, event: Revoked) -> None:
        for connection in list(self._connections()):
            concerned = connection.user == event.user if event.session is None else connection.session == event.session
            if concerned:
                metrics.REVOKED.inc()
                connection.close(CloseCode.REVOKED if event.final else CloseCode.EXPIRED)

    def _drop_expired(self) -> None:
        """Drop revocations that are older than any ticket, with twice its life as a margin for Redis's clock."""
        oldest = time.monotonic() - 2 * settings().TICKET_SECONDS
        for known in (self._users, self._sessions):
            while known and next(iter(known.values())).at < oldest:
                del known[next(iter(known))]


def _remember(known: dict[str, _Received], name: str, revocation: _Received) -> None:
    """Remember a revocation, the newest last. A final one remains final."""
    before = known.pop(name, None)
    known[name] = revocation._replace(final=revocation.final or (before is not None and before.final))
