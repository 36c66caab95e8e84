"""One socket as the hub sees it: a writer with a bound, and what it is subscribed to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tidewire.close_codes import CloseCode
from tidewire.frames import Frame

if TYPE_CHECKING:
    from tidewire.feeds import Subscription


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
        """Write the frames unless more than `limit` bytes wait. Returns whether they were taken."""

    def cut(self) -> None:
        """Drop the connection and what waits for it, without a close handshake."""


class Connection:
    """A socket with its bound. Whoever delivers asks `ready` first, and skips the socket where it is not.

    What is skipped is not kept: a subscription knows its position and is brought up to date
    from there when the socket has room again. `on_full` is told when it first had none.
    """

    __slots__ = (
        "close",
        "consumer",
        "full_since",
        "limit",
        "on_full",
        "opened",
        "opened_ms",
        "session",
        "session_key",
        "subscriptions",
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
        self.opened_ms = int(time.time() * 1000)
        self.full_since: float | None = None
        self.subscriptions: list[Subscription] = []

    def ready(self) -> bool:
        """Whether the socket has room."""
        if self.full_since is not None:
            return False
        if self.writer.backlog <= self.limit:
            return True
        return self.fill()

    def offer(self, frames: list[Frame], wire: bytes) -> bool:
        """Write frames where the socket has room. Returns whether they were taken."""
        if self.full_since is not None:
            return False
        return self.writer.offer(frames, wire, self.limit) or self.fill()

    def drained(self) -> bool:
        """Whether a full socket has room again. Half the bound keeps it from flapping."""
        if self.writer.backlog > self.limit // 2:
            return False
        self.full_since = None
        return True

    def fill(self) -> bool:
        """Take note that the socket has no room. Returns False, as what was offered was not taken."""
        self.full_since = time.monotonic()
        self.on_full(self)
        return False

    def write(self, frame: Frame) -> None:
        """Write one frame, whether or not the socket has room: for answers and control.

        Who asks and never reads fills the socket by this alone, and is then cut like any other.
        """
        self.writer.write([frame], frame.wire)
        if self.full_since is None and self.writer.backlog > self.limit:
            self.fill()
