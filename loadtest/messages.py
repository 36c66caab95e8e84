"""What the wire brings, understood once: a fan-out sends the same bytes to everybody. Keeps the newest alone."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

# More than are on their way at once; the oldest goes first.
KEPT = 4096


class Message:
    """One text as an object, with what every client would otherwise work out again."""

    __slots__ = ("event", "event_type", "is_published", "mark", "offset", "stamped")

    def __init__(self, data: bytes) -> None:
        self.event: dict[str, Any] = json.loads(data)
        self.event_type: str = self.event["type"]
        # Of a stream topic alone: its place there, and the servers' own time.
        self.offset: int | None = self.event.get("offset")
        # What follows the epoch in its position; a server without marks gives none.
        self.mark = f".{self.event['mark']}" if "mark" in self.event else ""
        self.stamped = 0.0 if self.offset is None else datetime.fromisoformat(self.event["at"]).timestamp()
        # Whether the run's books have its name.
        self.is_published = False


class Messages:
    def __init__(self) -> None:
        self._known: dict[bytes, Message] = {}

    def of(self, data: bytes) -> Message:
        found = self._known.get(data)
        if found is None:
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            found = self._known[data] = Message(data)
        return found
