"""Events: frozen typed classes with one codec for both directions.

An event's `type` identifies it on the wire, in the log and in the client's handlers.
"""

from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from tidewire.exceptions import MalformedEvent

# Names that come from a client are quoted up to this length.
NAME_LENGTH = 60


class Event(BaseModel):
    """A message on a socket, as a JSON object. Subclasses give `type` a literal default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: str

    known: ClassVar[dict[str, "EventClass"]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["type"].default
        if isinstance(name, str):
            Event.known[name] = cls

    def encode(self) -> str:
        """The event as compact JSON text."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """Decode one event of exactly this class.

        Raises `MalformedEvent`, which names the invalid field.
        """
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise MalformedEvent(_explain(error)) from None


# Within the class `type` is the field on the wire, not the builtin.
EventClass = type[Event]


class StateEvent(Event):
    """The value of a state topic. Only the event with the highest `version` matters."""

    topic: str
    version: int


class StreamEvent(Event):
    """An event of a stream topic.

    Redis assigns `offset` and `mark` when the event is appended. Together with the epoch of the preceding position they
    are the event's position. Offsets restart at 1 if Redis has lost the topic. The outbox assigns `sequence` from the
    database when the event is published, and the number never changes: see `tidewire.outbox`.
    """

    topic: str
    id: UUID
    offset: int | None = None
    mark: str | None = None
    sequence: int | None = None
    request_id: str | None = None


class Resumed(Event):
    """First event on a stream topic: the socket's position, and whether all missed events follow (`recovered`)."""

    type: Literal["resumed"] = "resumed"
    topic: str
    recovered: bool
    at: str


class Ping(Event):
    """A client's heartbeat. Browsers cannot send WebSocket pings."""

    type: Literal["ping"] = "ping"


class Pong(Event):
    """The reply to a `ping`."""

    type: Literal["pong"] = "pong"


class Error(Event):
    """The reason why a message of the client was refused; `code` is for programs, `detail` for people."""

    type: Literal["error"] = "error"
    code: Literal["malformed", "too_large", "flooding", "unavailable"]
    detail: str


class Drain(Event):
    """The node will close the socket soon; the client should reconnect after this many seconds."""

    type: Literal["drain"] = "drain"
    reconnect_in_seconds: float


class Stale(Event):
    """Whether the page may be out of date, because Redis is unavailable."""

    type: Literal["stale"] = "stale"
    stale: bool


def decode_any(text: str | bytes) -> Event:
    """Decode an event of any known type. Raises `MalformedEvent`."""
    try:
        name = _Named.model_validate_json(text).type
    except ValidationError as error:
        raise MalformedEvent(_explain(error)) from None
    event_class = Event.known.get(name)
    if event_class is None:
        raise MalformedEvent(f"type: {name[:NAME_LENGTH]!r} is unknown")
    return event_class.decode(text)


class _Named(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    type: str


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "message"
    return f"{where[:NAME_LENGTH]}: {first['msg']}"
