"""Events: frozen typed classes with one codec for both directions.

An event's `type` identifies it on the wire, in the log and in the client's handlers.
"""

from typing import Any, ClassVar, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from tidewire.exceptions import MalformedEvent

__all__ = [
    "Drain",
    "Error",
    "Event",
    "Ping",
    "Pong",
    "Resumed",
    "Stale",
    "StateEvent",
    "StreamEvent",
    "decode_any",
]

# Names that come from a client are quoted up to this length.
NAME_LENGTH = 60


class Event(BaseModel):
    """A message on a socket, as a JSON object. Subclasses give `type` a literal default.

    An instance is frozen. Unknown fields and values of another type are errors, in both directions.

    Attributes:
        type: Name of the event on the wire, in the log and in the client's handlers.
        known: The classes by their `type`, for `decode_any`. A new class replaces one with the same name.

    Example:
        >>> from typing import Literal
        >>> class Reaction(Event):
        ...     type: Literal["reaction"] = "reaction"
        ...     emoji: str
        >>> Reaction(emoji="+1").encode()
        '{"type":"reaction","emoji":"+1"}'
        >>> Reaction.decode('{"type":"reaction","emoji":"+1"}')
        Reaction(type='reaction', emoji='+1')

    """

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
        """Return the event as compact JSON text. Fields that are None are left out."""
        return self.model_dump_json(exclude_none=True)

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """Decode one event of exactly this class.

        Args:
            text: A JSON object; bytes are UTF-8.

        Returns:
            The event.

        Raises:
            MalformedEvent: The text is not a valid event of this class; the message names the field.

        """
        try:
            return cls.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise MalformedEvent(_explain(error)) from None


# Within the class `type` is the field on the wire, not the builtin.
EventClass = type[Event]


class StateEvent(Event):
    """The value of a state topic. Only the event with the highest `version` matters.

    Args:
        topic: Name of the topic.
        version: Number of the value, which grows with each change.

    Example:
        >>> from typing import Literal
        >>> class UsersCount(StateEvent):
        ...     type: Literal["users"] = "users"
        ...     count: int
        >>> UsersCount(topic="users", version=3, count=7).encode()
        '{"type":"users","topic":"users","version":3,"count":7}'

    """

    topic: str
    version: int


class StreamEvent(Event):
    """An event of a stream topic.

    A project sets `topic` and `id`; the other fields are assigned. `offset` and `mark` are the event's position,
    together with the epoch of the preceding position.

    Args:
        topic: Name of the topic.
        id: Identity of the event, by which Redis recognises one that it has already.
        offset: Set by Redis, when the event is appended. Offsets restart at 1 if Redis has lost the topic.
        mark: Set by Redis, a digest of all events up to this one: see `Position`.
        sequence: Set by the outbox from the database. The number never changes: see `tidewire.publishing.outbox`.
        request_id: Id of the request that published the event: see `tidewire.requests`.

    Example:
        >>> from typing import Literal
        >>> from uuid import UUID
        >>> class MessagePosted(StreamEvent):
        ...     type: Literal["message"] = "message"
        ...     text: str
        >>> MessagePosted(topic="talk", id=UUID(int=7), text="hello").encode()
        '{"type":"message","topic":"talk","id":"00000000-0000-0000-0000-000000000007","text":"hello"}'

    """

    topic: str
    id: UUID
    offset: int | None = None
    mark: str | None = None
    sequence: int | None = None
    request_id: str | None = None


class Resumed(Event):
    """First event on a stream topic: the socket's position, and whether all missed events follow (`recovered`).

    Args:
        topic: Name of the topic.
        recovered: True if all events after the client's position follow. If False, the page must read its list again.
        at: The position as text, `epoch.mark:offset`; `epoch:offset` without events. The events after it follow.

    """

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
    """The reason why a message of the client was refused; `code` is for programs, `detail` for people.

    Args:
        code: One of `malformed`, `too_large`, `flooding` and `unavailable`.
        detail: The reason in English, at most 200 characters.

    """

    type: Literal["error"] = "error"
    code: Literal["malformed", "too_large", "flooding", "unavailable"]
    detail: str


class Drain(Event):
    """The node will close the socket soon; the client should reconnect after this many seconds.

    Args:
        reconnect_in_seconds: Seconds to wait. 0 so far, because a drain closes the sockets at an even pace.

    """

    type: Literal["drain"] = "drain"
    reconnect_in_seconds: float


class Stale(Event):
    """Whether the page may be out of date, because Redis is unavailable.

    Args:
        stale: True while the node is without Redis, False once it has caught up.

    """

    type: Literal["stale"] = "stale"
    stale: bool


def decode_any(text: str | bytes) -> Event:
    """Decode an event of any known type.

    Args:
        text: A JSON object with a `type`; bytes are UTF-8. Text of a client may be passed.

    Returns:
        The event, an instance of the class of this `type`.

    Raises:
        MalformedEvent: The type is unknown, or the text is not a valid event of it; the message names the field.

    Example:
        >>> decode_any('{"type":"ping"}')
        Ping(type='ping')

    """
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
