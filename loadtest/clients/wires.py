"""Wires: the meaning of the texts on a product's sockets. Each socket has its own, so that a wire may have a state.

For a protocol of one's own, derive from `Wire` and write `read`, and `write` if the load sends messages itself.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

from loadtest.run.rooms import Numbered

# A fan-out sends the same bytes to all clients. More than can be on their way at once.
KEPT = 4096


@dataclass(frozen=True, slots=True)
class Tidewire:
    """The wire of tidewire's consumers: a stream topic, resumed from the position `at` that the page was rendered with.

    `on` has functions for event types. Without a position, the socket has only topics that need no account.
    """

    at: str | None = None
    stream: str = "notifications"
    on: Mapping[str, Callable[[dict[str, Any]], None]] = field(default_factory=dict)


class Wire(ABC):
    """A protocol with numbered messages and without a history. `room` is the audience that the socket joins."""

    # Sent by the client at times, for servers that expect it.
    ping: ClassVar[str] = ""
    # Sent after each handshake, such as a request to join.
    first: Sequence[str] = ()
    # Whether the server counts the messages of a room, in place of each sender.
    is_numbered_by_server = False

    def __init__(self, room: str) -> None:
        self.room = room

    @abstractmethod
    def read(self, text: bytes) -> Numbered | None:
        """Return the sender, the number and the time of a message that is due to the room, or None for other texts."""

    def write(self, sender: str, number: int, sent: float, **fields: Any) -> str:
        """Return the text by which a sender publishes its message of this number. The server must pass all of it on."""
        raise NotImplementedError(f"{type(self).__name__} has no write(), which publish() needs")


class JsonNumber(Wire):
    """Plain JSON objects with a number, which each sender or, without `sender`, the server counts from 1 in a room.

    The arguments are the names of fields. A text without the number is no message. With `sent`, which has the sender's
    time in seconds, the latency of deliveries is measured.
    """

    def __init__(self, room: str, *, sender: str = "sender", number: str = "number", sent: str = "sent") -> None:
        super().__init__(room)
        self._sender = sender
        self._number = number
        self._sent = sent
        self.is_numbered_by_server = not sender

    def read(self, text: bytes) -> Numbered | None:
        message = _parsed(text)
        if not isinstance(message, dict) or self._number not in message:
            return None
        sender = str(message.get(self._sender, "")) if self._sender else ""
        return Numbered(sender, int(message[self._number]), message.get(self._sent))

    def write(self, sender: str, number: int, sent: float, **fields: Any) -> str:
        if not self._sender:
            return json.dumps({**fields, self._sent: sent})
        return json.dumps({**fields, self._sender: sender, self._number: number, self._sent: sent})


@lru_cache(KEPT)
def _parsed(text: bytes) -> Any:
    return json.loads(text)
