"""The ticket: a short-lived, signed cookie by which a socket is authenticated without a query.

The ticket contains a hash of the session's key, never the key, and is valid only together with the session cookie that
it was issued for: a ticket alone grants no access, and the end of a session ends its tickets.
"""

from dataclasses import dataclass
from typing import Any, Self

from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import ValidationError

from tidewire.streams import Stamp
from tidewire.topics import Position

__all__ = ["Ticket", "TicketUser"]

COOKIE = "tidewire_ticket"
_SALT = "tidewire.ticket"


@dataclass(frozen=True, slots=True)
class TicketUser:
    """The user of a socket authenticated by a ticket, with the attributes that a consumer needs but no database row.

    Args:
        pk: Primary key, of the type that the user model has.
        username: Name of the user when the ticket was issued.

    Example:
        >>> user = TicketUser(pk=7, username="ada")
        >>> user.is_authenticated, user.get_username()
        (True, 'ada')

    """

    pk: Any
    username: str

    is_authenticated = True
    is_anonymous = False

    def get_username(self) -> str:
        """Return the name, as Django's user model does."""
        return self.username


@dataclass(frozen=True, slots=True)
class Ticket:
    """The cookie's content: the user, and a stamp from before the session was read.

    The ticket contains no host's clock. Revocations up to `position` had been committed when the session was found
    valid.

    Args:
        pk: The user's primary key as text.
        username: Name of the user.
        session: Hash of the session: 32 hexadecimal digits of a hash of its key, never the key.
        position: Position of the topic of revocations.
        issued_ms: Time of Redis's clock in milliseconds since 1970.

    Example:
        >>> from tidewire.auth.sessions import session_hash
        >>> from tidewire.topics import Position
        >>> ticket = Ticket("7", "ada", session_hash("the session's key"), Position("5f", 12), 1_900_000_000_000)
        >>> Ticket.read(ticket.sign()) == ticket
        True
        >>> ticket.user()
        TicketUser(pk=7, username='ada')

    """

    pk: str
    username: str
    session: str
    position: Position
    issued_ms: int

    @classmethod
    def issue(cls, user: Any, session: str, stamp: Stamp) -> Self:
        """Create a ticket.

        Args:
            user: A row of the user model.
            session: Hash of the session: see `Ticket`.
            stamp: Position of the revocations and time of Redis's clock, read before the session.

        Returns:
            The ticket, not signed yet.

        Example:
            >>> from django.contrib.auth.models import User
            >>> from tidewire.streams import Stamp
            >>> from tidewire.topics import Position
            >>> stamp = Stamp(Position("5f", 12), 1_900_000_000_000)
            >>> Ticket.issue(User(pk=7, username="ada"), "0f" * 16, stamp).pk
            '7'

        """
        pk = user._meta.pk.value_to_string(user)  # noqa: SLF001 - documented by Django
        return cls(pk, user.get_username(), session, *stamp)

    def sign(self, *, salt: str = _SALT) -> str:
        """Return the cookie's value, signed with Django's SECRET_KEY.

        Args:
            salt: Separates cookies from other uses of the same content.

        Returns:
            Text that is valid in a cookie.

        """
        fields = [self.pk, self.username, self.session, str(self.position), self.issued_ms]
        return signing.Signer(salt=salt).sign_object(fields)

    @classmethod
    def read(cls, value: str, *, salt: str = _SALT) -> Self | None:
        """Read a cookie. `Revocations.allows` decides whether its ticket is still valid.

        Args:
            value: The cookie's value. Text of a client may be passed.
            salt: That of `sign`.

        Returns:
            The ticket, which may be expired; None unless a process with this SECRET_KEY signed it.

        """
        try:
            pk, username, session, position, issued_ms = signing.Signer(salt=salt).unsign_object(value)
            at = Position.parse(position)
        except (signing.BadSignature, TypeError, ValueError):
            return None
        return None if at is None else cls(pk, username, session, at, issued_ms)

    def user(self) -> TicketUser | None:
        """Return the user, with a primary key of the user model's type; None if the type has changed."""
        try:
            return TicketUser(get_user_model()._meta.pk.to_python(self.pk), self.username)  # noqa: SLF001 - as above
        except ValidationError:
            return None
