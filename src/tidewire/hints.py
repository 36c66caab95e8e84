"""Hints: the messages of a topic's group. A hint may be lost, so the stores are authoritative.

Nodes and publishers of two consecutive versions exchange hints, so a field may be added only with a default. A field
that this version does not know is ignored.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidewire.exceptions import MalformedHint
from tidewire.topics import Position

HINT: Literal["tidewire.hint"] = "tidewire.hint"


def group_name(prefix: str, topic: str) -> str:
    """Return the name of the Channels group that carries a topic's hints."""
    return f"{prefix}.{topic}"


class HintedEvent(NamedTuple):
    """An event in a hint. `after` is the mark of the preceding event."""

    position: Position
    after: str
    body: str


class HintedEvents(BaseModel):
    """Consecutive events of a stream topic: `offset` is the first one's, `after` the mark before it.

    `published` is in seconds since 1970.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    epoch: str
    offset: Annotated[int, Field(ge=1)]
    after: str
    marks: Annotated[list[str], Field(min_length=1)]
    bodies: list[str]
    published: float

    @model_validator(mode="after")
    def _has_a_mark_for_each_body(self) -> Self:
        if len(self.marks) != len(self.bodies):
            raise ValueError(f"marks: {len(self.marks)} for {len(self.bodies)} bodies")
        return self

    def each(self) -> Iterator[HintedEvent]:
        """Yield the events, oldest first."""
        after = self.after
        for offset, (mark, body) in enumerate(zip(self.marks, self.bodies, strict=True), self.offset):
            yield HintedEvent(Position(self.epoch, offset, mark), after, body)
            after = mark


class Hint(NamedTuple):
    """The notice that a topic has news: the events of a stream topic, or None if its value or history must be read."""

    topic: str
    events: HintedEvents | None = None

    def encode(self) -> dict[str, Any]:
        """Return the message for the channel layer."""
        fields = {} if self.events is None else self.events.model_dump()
        return {"type": HINT, "topic": self.topic, **fields}

    @classmethod
    def decode(cls, message: Mapping[str, Any]) -> Self:
        """Read a message of the channel layer. Raises `MalformedHint`, which names the field."""
        fields = dict(message)
        kind, topic = fields.pop("type", None), fields.pop("topic", None)
        if kind != HINT or not isinstance(topic, str):
            raise MalformedHint(f"type {kind!r:.60}, topic {topic!r:.60}: {HINT!r} and a text are expected")
        try:
            has_events = not HintedEvents.model_fields.keys().isdisjoint(fields)
            return cls(topic, HintedEvents.model_validate(fields) if has_events else None)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "events"
            raise MalformedHint(f"topic {topic!r}: {where[:60]}: {first['msg']}") from None
