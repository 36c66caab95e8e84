"""The position of a client on each stream topic of its socket, from the socket's query string. No I/O.

`?at=<topic>:<epoch>:<offset>`, once per topic. A position belongs to one topic and must not be used for another.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

from tidewire.topics import Position

# No stream has this epoch, so the answer is that events may have been missed.
UNKNOWN_POSITION = Position("?", 0)
# Client text is quoted up to this length.
QUOTED_CHARACTERS = 60


@dataclass(frozen=True)
class Positions:
    """Positions by the name of their topic. `default` is for topics without one; None: only new events are needed.

    `error` is for the client: the text that could not be parsed, and its interpretation.
    """

    known: Mapping[str, Position] = field(default_factory=dict)
    default: Position | None = None
    error: str = ""

    def of(self, topic: str) -> Position | None:
        """Return the position on a topic, by its name."""
        return self.known.get(topic, self.default)

    @classmethod
    def parse(cls, query: bytes | None, streams: Collection[str], *, limit: int) -> Self:
        """Parse a query string, for a socket with these stream topics; `limit` is the maximum number of positions.

        A position that cannot be parsed must not cause events to be skipped: its topic, or each topic without a
        position if the value names none, is answered as a topic that may have missed events.

        Example: `Positions.parse(b"at=talk:5f:12", {"talk"}, limit=16).of("talk") == Position("5f", 12)`
        """
        text = (query or b"").decode("ascii", "replace")
        values = [value for name, value in parse_qsl(text, keep_blank_values=True) if name == "at"]
        if len(values) > limit:
            return cls(default=UNKNOWN_POSITION, error=f"at: {len(values)} positions, {limit} at most")
        known: dict[str, Position] = {}
        default: Position | None = None
        errors: list[str] = []
        for value in values:
            topic, _, position = value.partition(":")
            at = Position.parse(position)
            if at is None:
                if topic in streams:
                    known[topic] = UNKNOWN_POSITION
                else:
                    default = UNKNOWN_POSITION
                errors.append(f"at: {value[:QUOTED_CHARACTERS]!r} is not <topic>:<epoch>:<offset>")
            elif topic not in streams:
                errors.append(f"at: {topic[:QUOTED_CHARACTERS]!r} is no stream topic of this socket")
            elif known.setdefault(topic, at) != at:
                known[topic] = UNKNOWN_POSITION
                errors.append(f"at: two positions on {topic}")
        return cls(known, default, "; ".join(errors))
