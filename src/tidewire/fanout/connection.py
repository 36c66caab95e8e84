"""A connection as the hub sees it: a writer with a size limit."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from tidewire.close_codes import CloseCode
from tidewire.fanout.frames import Frame

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """Writes frames to one socket, in the order of the calls, without waiting.

    A server may provide one in the ASGI scope as `extensions["tidewire.writer"]`; otherwise `SendWriter` is used.
    """

    @property
    def backlog(self) -> int:
        """Bytes that are buffered in this process for this socket."""

    def write(self, frames: list[Frame], wire: bytes) -> None:
        """Write the frames; `wire` is their concatenation as bytes."""

    def try_write(self, frames: list[Frame], wire: bytes, limit: int) -> bool:
        """Write the frames if the buffer is empty or stays within `limit` bytes. Returns whether they were written."""

    def abort(self) -> None:
        """Abort the connection and discard its buffer, without a close handshake."""


# Share of the limit that is reserved for control messages, which are small. A socket that is full of events can still
# be notified of a drain or of an outage of Redis.
CONTROL_PART = 16


class Connection:
    """A socket with a limit on its buffer: either this many bytes, or one message that is larger.

    An event that does not fit is not buffered: each subscription keeps its position and continues from there when the
    socket has room again. `on_full` is called when the socket first has no room.

    The connection also has cleanups, callbacks that release its resources. `end` calls each of them once, whichever
    fail. `clock` returns seconds, as `time.monotonic` does.
    """

    __slots__ = (
        "_cleanups",
        "clock",
        "close",
        "code",
        "consumer",
        "event_limit",
        "full_since",
        "ignores_replies",
        "limit",
        "needed",
        "on_full",
        "opened_at",
        "session",
        "session_key",
        "user",
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
        on_full: Callable[["Connection"], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.writer = writer
        self.consumer = consumer
        self.user = user
        self.session = session
        self.session_key = session_key
        self.limit = limit
        self.close = close
        self.on_full = on_full
        self.clock = clock
        self.opened_at = clock()
        self.full_since: float | None = None
        # The limit for events, and the number of bytes that did not fit.
        self.event_limit = limit - limit // CONTROL_PART
        self.needed = 0
        # True if control messages had no room either, because the client sends requests without reading the replies.
        self.ignores_replies = False
        # The close code, once the socket is closed.
        self.code: int | None = None
        self._cleanups: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def add_cleanup(self, cleanup: Callable[..., object], *arguments: object) -> None:
        """Register a callback `cleanup(*arguments)` for the end of the socket; a closed socket calls it at once.

        Callbacks run in reverse order of registration. They must not block, and must not depend on each other.
        """
        if self.code is None:
            self._cleanups.append((cleanup, arguments))
        else:
            attempt(cleanup, *arguments)

    def end(self, code: int) -> None:
        """Release all resources of this socket. Only the first call has an effect; exceptions are logged."""
        if self.code is not None:
            return
        self.code = code
        cleanups, self._cleanups = self._cleanups, []
        for cleanup, arguments in reversed(cleanups):
            attempt(cleanup, *arguments)

    def try_write(self, frames: list[Frame], wire: bytes) -> bool:
        """Write frames if the socket has room. Returns whether they were written."""
        if self.full_since is not None:
            return False
        return self.writer.try_write(frames, wire, self.event_limit) or self.mark_full(len(wire))

    def has_room_again(self) -> bool:
        """True if a full socket has room again, for the frames that did not fit and for half of its limit."""
        if self.ignores_replies or self.writer.backlog > max(0, min(self.limit // 2, self.event_limit - self.needed)):
            return False
        self.full_since = None
        return True

    def mark_full(self, needed: int = 0) -> bool:
        """Mark the socket as full; `needed` is the size that did not fit. Returns False, for the caller to return."""
        self.needed = needed
        if self.full_since is None:
            self.full_since = self.clock()
            self.on_full(self)
        return False

    def write(self, frame: Frame) -> None:
        """Write a control message: a reply, or a notice of the node. A socket that is full of events still accepts it.

        A client that sends requests without reading the replies is disconnected as a slow consumer.
        """
        if not self.writer.try_write([frame], frame.wire, self.limit):
            self.ignores_replies = True
            self.mark_full()


def attempt(step: Callable[..., object], *arguments: object) -> None:
    """Call `step` and log an exception instead of raising it, so that the caller's other steps can run."""
    try:
        step(*arguments)
    except Exception:
        logger.exception("%s failed; continuing with the other steps", getattr(step, "__qualname__", step))
