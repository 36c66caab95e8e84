"""Revocations: a stream topic that every node follows, so that who lost access loses their sockets at once.

A node that has not caught up with it trusts no ticket, and reads the session instead.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

from django.db import transaction

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.conf import settings
from tidewire.connection import Connection
from tidewire.events import Resumed, StreamEvent, decode_any
from tidewire.feeds import NOTHING, Subscription
from tidewire.frames import Frame
from tidewire.positions import Positions
from tidewire.topics import ANY, Position, StreamTopic

if TYPE_CHECKING:
    from tidewire.hub import Hub
    from tidewire.ticket import Ticket

logger = logging.getLogger(__name__)

TOPIC = StreamTopic("revocations")
# How far back a node reads that was told it missed some. Less than what one read of history brings.
LOOK_BACK = 500
# An event is dated before its transaction commits, and a page that is rendered in between makes a ticket that is newer.
COMMIT_MS = 60_000


class Revoked(StreamEvent):
    """Access of a session (by its mark), or of a user (`session` is None), has ended or must be checked again.

    `final` says that access has ended. Otherwise clients reconnect, and the handshake decides.
    """

    type: Literal["revoked"] = "revoked"
    topic: str = TOPIC.name
    user: str
    session: str | None = None
    final: bool = False
    at_ms: int


def revoke(user: object, *, session: str | None = None, final: bool = False) -> None:
    """Close a user's sockets and refuse the tickets issued so far, once the surrounding transaction commits.

    Without `final` the clients reconnect and are authenticated by their session. `session` limits it to one session.
    """
    # The outbox needs models, which a node's process may load later than this module.
    from tidewire import outbox  # noqa: PLC0415

    with transaction.atomic():
        event = Revoked(id=uuid4(), user=str(user), session=session, final=final, at_ms=int(time.time() * 1000))
        outbox.publish(event.topic, event)


class Revocations:
    """What this node knows of revocations. Closes sockets as they come, and judges tickets."""

    def __init__(self, hub: "Hub", connections: Callable[[], Iterable[Connection]]) -> None:
        self._hub = hub
        self._connections = connections
        self._users: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        # When this node heard last of a user's, in seconds of `time.monotonic`.
        self._heard: dict[str, float] = {}
        # Tickets issued before this are read as sessions: what revoked them may be lost.
        self._distrusted_before_ms = 0
        self._caught_up = False
        self._subscription: Subscription | None = None
        # What was taken lately, so that looking back closes no socket a second time. Ids, oldest first.
        self._taken: dict[UUID, None] = {}

    def follow(self, at: Position = NOTHING) -> None:
        """Follow the topic, from the beginning of what it remembers or from a position."""
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

    def allows(self, ticket: "Ticket") -> bool:
        """Whether a ticket still stands. False also where this node cannot know."""
        if not self._caught_up or self._hub.stale:
            return False
        revoked_ms = max(self._users.get(str(ticket.pk), 0) + COMMIT_MS, self._distrusted_before_ms)
        return ticket.issued_ms > revoked_ms and ticket.session not in self._sessions

    def ended(self, user: str, session: str, since: float) -> CloseCode | None:
        """Why a socket may not be opened whose user was looked up at `since` (`time.monotonic`); None: it may."""
        if session in self._sessions:
            return CloseCode.REVOKED
        # It comes back, and is looked up again.
        return CloseCode.EXPIRED if self._heard.get(user, 0.0) >= since else None

    def end(self, session: str) -> None:
        """Refuse the tickets of a session, by its mark, of whose end no event told."""
        self._sessions[session] = int(time.time() * 1000)

    def on_lost(self) -> None:
        """Told when revocations may have been lost for good; the node replaces it."""

    # A `Writer` for the hub: the topic's events end here instead of in a socket.

    backlog = 0

    def write(self, frames: list[Frame], wire: bytes) -> None:
        """Take what the hub delivers."""
        for frame in frames:
            self._take(decode_any(frame.text))

    def offer(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        """Take what the hub delivers; there is always room."""
        self.write(frames, wire)
        return True

    def cut(self) -> None:
        """Nothing to cut."""

    def _take(self, event: Any) -> None:
        if isinstance(event, Resumed):
            was_following, self._caught_up = self._caught_up, True
            if not event.recovered:
                self._lost(was_following, Position.parse(event.at))
        elif isinstance(event, Revoked) and event.id not in self._taken:
            self._taken[event.id] = None
            if len(self._taken) > LOOK_BACK:
                del self._taken[next(iter(self._taken))]
            self._forget_old()
            if event.session is None:
                self._users[event.user] = max(event.at_ms, self._users.get(event.user, 0))
                self._heard[event.user] = time.monotonic()
            else:
                self._sessions[event.session] = event.at_ms
            self._close(event)

    def _lost(self, was_following: bool, end: Position | None) -> None:
        """Some cannot be had, or only by looking back: a new epoch begins with an event that nobody is delivered."""
        self._distrusted_before_ms = int(time.time() * 1000)
        self.on_lost()
        if was_following and end is not None:
            self.follow(Position(end.epoch, max(0, end.offset - LOOK_BACK), ANY))

    def _close(self, event: Revoked) -> None:
        for connection in list(self._connections()):
            concerned = connection.user == event.user if event.session is None else connection.session == event.session
            if concerned:
                metrics.REVOKED.inc()
                connection.close(CloseCode.REVOKED if event.final else CloseCode.EXPIRED)

    def _forget_old(self) -> None:
        """A ticket outlives nothing by more than its life, so neither need its revocation."""
        oldest_ms = int(time.time() - settings().TICKET_SECONDS) * 1000 - COMMIT_MS
        for known in (self._users, self._sessions):
            for name in [name for name, at_ms in known.items() if at_ms < oldest_ms]:
                del known[name]
        for user in [user for user in self._heard if user not in self._users]:
            del self._heard[user]
