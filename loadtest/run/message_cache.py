"""Received messages, parsed once, because a fan-out sends the same bytes to all clients. Keeps only the newest."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

# More than can be on their way at once; the oldest is dropped first.
KEPT = 4096


class Message:
    """A text as an object, with the values that each client would otherwise compute again."""

    __slots__ = ("event", "event_type", "is_published", "mark", "offset", "stamped")

    def __init__(self, data: bytes) -> None:
        self.event: dict[str, Any] = json.loads(data)
        self.event_type: str = self.event["type"]
        # Only messages of a stream topic have an offset, and a timestamp of the servers.
        self.offset: int | None = self.event.get("offset")
        # The part of the position after the epoch; a server without marks sends none.
        self.mark = f".{self.event['mark']}" if "mark" in self.event else ""
        self.stamped = 0.0 if self.offset is None else datetime.fromisoformat(self.event["at"]).timestamp()
        # Whether the run has recorded the event's name.
        self.is_published = False


class Messages:
    def __init__(self) -> None:
        self._known: dict[bytes, Message] = {}

    def of(self, data: bytes) -> Message:
        message = self._known.get(data)
        if message is None:
            if len(self._known) >= KEPT:
                del self._known[next(iter(self._known))]
            message = self._known[data] = Message(data)
        return message
