"""One socket as the hub sees it: a writer with a bound, and what it is subscribed to."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tidewire.close_codes import CloseCode
from tidewire.frames import Frame

if TYPE_CHECKING:
    from tidewire.feeds import Subscription

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """Writes ready frames to one socket, in the order of the calls, and never waits.

    A server may offer one in the ASGI scope as `extensions["tidewire.writer"]`; `SendWriter` is for any other.
    """

    @property
    def backlog(self) -> int:
        """Bytes that wait in this process for this socket."""

    def write(self, frames: list[Frame], wire: bytes) -> None:
        """Write the frames; `wire` is all of them as bytes."""

    def offer(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        """Write the frames if nothing waits, or no more than `limit` bytes with them. Returns whether it did."""

    def cut(self) -> None:
        """Drop the connection and what waits for it, without a close handshake."""


# This part of the limit is for control messages, which are small: a socket that is full of events can still be told
# that its node drains or that Redis is unavailable.
CONTROL_PART = 16


class Connection:
    """A socket with its limit: so many bytes may wait for it, or a single message that is larger.

    An event that does not fit is not kept: a subscription knows its position and goes on from there when the socket
    has room again. `on_full` is called when the socket first has no room.

    The connection also knows how to release each thing that is held for it. `end` does so once, whatever fails.
    """

    __slots__ = (
        "_held",
        "close",
        "code",
        "consumer",
        "full_since",
        "ignored",
        "limit",
        "on_full",
        "opened",
        "room",
        "session",
        "session_key",
        "subscriptions",
        "user",
        "wanted",
        "writer",
    )

    def __init__(
        self,
        writer: Writer,
        *,
        consumer: str,
        user: str,
        session: str,
        session_key: str = "",
        limit: int,
        close: Callable[[CloseCode], None],
        on_full: Callable[[Connection], None],
    ) -> None:
        self.writer = writer
        self.consumer = consumer
        self.user = user
        self.session = session
        self.session_key = session_key
        self.limit = limit
        self.close = close
        self.on_full = on_full
        self.opened = time.monotonic()
        self.full_since: float | None = None
        # What events may fill, and the bytes that did not fit.
        self.room = limit - limit // CONTROL_PART
        self.wanted = 0
        # Whether control messages had no room either: the client sends requests without reading the replies.
        self.ignored = False
        self.subscriptions: list[Subscription] = []
        # The close code, once the socket has gone.
        self.code: int | None = None
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def hold(self, release: Callable[..., object], *arguments: object) -> None:
        """Have `release(*arguments)` called when the socket has gone: now, if it already has.

        Releases run in the reverse order of the calls. They must not wait, and may not rely on each other.
        """
        if self.code is None:
            self._held.append((release, arguments))
        else:
            attempt(release, *arguments)

    def end(self, code: int) -> None:
        """Release everything that is held for this socket. The first call counts; none of them raises."""
        if self.code is not None:
            return
        self.code = code
        held, self._held = self._held, []
        for release, arguments in reversed(held):
            attempt(release, *arguments)

    def offer(self, frames: list[Frame], wire: bytes) -> bool:
        """Write frames where the socket has room. Returns whether they were taken."""
        if self.full_since is not None:
            return False
        return self.writer.offer(frames, wire, self.room) or self.fill(len(wire))

    def drained(self) -> bool:
        """Whether a full socket has room again: for what did not fit, and for half of its limit."""
        if self.ignored or self.writer.backlog > max(0, min(self.limit // 2, self.room - self.wanted)):
            return False
        self.full_since = None
        return True

    def fill(self, wanted: int = 0) -> bool:
        """Note that the socket has no room for so many bytes. Returns False: what was offered was not taken."""
        self.wanted = wanted
        if self.full_since is None:
            self.full_since = time.monotonic()
            self.on_full(self)
        return False

    def write(self, frame: Frame) -> None:
        """Write a control message: an answer, or what the node says of itself. Full of events, a socket still takes it.

        A client that sends requests without reading the replies is disconnected as a slow consumer.
        """
        if not self.writer.offer([frame], frame.wire, self.limit):
            self.ignored = True
            self.fill()


def attempt(step: Callable[..., object], *arguments: object) -> None:
    """Do one step of several that must all be tried: log its failure instead of raising it."""
    try:
        step(*arguments)
    except Exception:
        logger.exception("%s failed; the other steps go on", getattr(step, "__qualname__", step))
