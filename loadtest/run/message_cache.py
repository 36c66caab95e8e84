"""Received messages, parsed once, because a fan-out sends the same bytes to all clients. Keeps only the newest."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from testkit.delivery_ledger import parse_position

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
        self._check()
        # Whether the run has recorded the event's name.
        self.is_published = False

    def _check(self) -> None:
        """Raise `ValueError`, `LookupError` or `TypeError` if a value is missing that the accounts need."""
        event = self.event
        # The server may have sent anything.
        offset: Any = self.offset
        if offset is not None and not (isinstance(offset, int) and offset > 0 and event["id"]):
            raise ValueError(f"event with offset {offset!r} and id {event['id']!r}")
        if self.event_type == "resumed":
            parse_position(event["at"])
            event["recovered"]
        elif self.event_type == "drain":
            float(event["reconnect_in_seconds"])


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
