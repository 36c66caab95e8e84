"""The event of a revocation, and its topic."""

from typing import Literal

from tidewire.auth.stamps import TOPIC_NAME
from tidewire.events import StreamEvent
from tidewire.topics import StreamTopic

TOPIC = StreamTopic(TOPIC_NAME)


class Revoked(StreamEvent):
    """The access of a session (by its hash), or of a user (`session` is None), has ended or must be checked again.

    Args:
        user: Primary key of the user as text.
        session: Hash of the session; None for all sessions of the user.
        final: True if access has ended. Otherwise clients should reconnect, and the handshake decides.

    Example:
        >>> from uuid import UUID
        >>> Revoked(id=UUID(int=1), user="7").final
        False

    """

    type: Literal["revoked"] = "revoked"
    topic: str = TOPIC.name
    user: str
    session: str | None = None
    final: bool = False
