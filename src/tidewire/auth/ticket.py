"""The ticket: a short-lived, signed cookie by which a socket is authenticated without a query.

The ticket contains a hash of the session's key, never the key, and is valid only together with the session cookie that
it was issued for: a ticket alone grants no access, and the end of a session ends its tickets.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from channels.db import database_sync_to_async
from channels.sessions import SessionMiddlewareStack
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.utils.crypto import constant_time_compare

from tidewire import asgi, metrics
from tidewire.auth import stamps
from tidewire.auth.revocation import revoke, revoke_session
from tidewire.auth.sessions import keep_session_key, key_is_data, read_session, record_secret_key, session_hash
from tidewire.close_codes import CloseCode
from tidewire.conf import settings
from tidewire.exceptions import SessionUnknown
from tidewire.routing import close_with
from tidewire.server.node import node
from tidewire.streams import Stamp
from tidewire.topics import Position

COOKIE = "tidewire_ticket"
# A session is read in milliseconds. If the database hangs, the handshake must not hang with it.
SESSION_SECONDS = 10.0
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

    def sign(self) -> str:
        """Return the cookie's value, signed with Django's SECRET_KEY."""
        fields = [self.pk, self.username, self.session, str(self.position), self.issued_ms]
        return signing.Signer(salt=_SALT).sign_object(fields)

    @classmethod
    def read(cls, value: str) -> Self | None:
        """Read a cookie. `Revocations.allows` decides whether its ticket is still valid.

        Args:
            value: The cookie's value. Text of a client may be passed.

        Returns:
            The ticket, which may be expired; None unless a process with this SECRET_KEY signed it.

        """
        try:
            pk, username, session, position, issued_ms = signing.Signer(salt=_SALT).unsign_object(value)
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


class TicketMiddleware:
    """Page side: issues a ticket to authenticated users, renews it in its second half, and removes it at logout.

    Revokes a session that a response ends or replaces: a logout, another user's login, a new key for the same user.
    Must be placed directly after AuthenticationMiddleware, because a stamp must be older than the reading of the
    session.

    Args:
        get_response: The next middleware or the view, as Django passes it.

    Example:
        >>> MIDDLEWARE = [
        ...     "django.contrib.sessions.middleware.SessionMiddleware",
        ...     "django.contrib.auth.middleware.AuthenticationMiddleware",
        ...     "tidewire.auth.ticket.TicketMiddleware",
        ... ]

    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        cookie = request.COOKIES.get(COOKIE)
        current = Ticket.read(cookie) if cookie else None
        key = request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)
        stamp = before = None
        if key:
            # A save must not wait for Redis: the page that follows requests the ticket.
            stale = current is None or current.session != session_hash(key) or not _is_fresh(current)
            if stale and request.method in ("GET", "HEAD"):
                stamp = stamps.read_stamp()
            with keep_session_key(request):
                before = request.user.pk
        response = self._get_response(request)
        if before is not None:
            assert key
            _revoke_replaced(request, before, key)
        if not request.user.is_authenticated or request.session.session_key is None:
            if cookie:
                response.delete_cookie(COOKIE, path="/", samesite="Lax")
            return response
        record_secret_key(request.session)
        if stamp is not None:
            hash_of_session = session_hash(request.session.session_key)
            response.set_cookie(
                COOKIE,
                Ticket.issue(request.user, hash_of_session, stamp).sign(),
                max_age=settings().TICKET_SECONDS,
                secure=django_settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def _revoke_replaced(request: HttpRequest, before: object, key: str) -> None:
    """Revoke the session of the request if the response ends it or gives it another key."""
    if request.user.pk != before:
        revoke_session(before, key)
    elif request.session.session_key != key and not key_is_data():
        # The same user with another key, as after a change of the password: the sockets reconnect with it.
        revoke(before, session=session_hash(key))


def _is_fresh(current: Ticket) -> bool:
    now_ms = stamps.CLOCK.now_ms()
    return now_ms is not None and 0 <= now_ms - current.issued_ms < settings().TICKET_SECONDS * 1000 / 2


class TicketAuth:
    """ASGI middleware: sets the user from a valid ticket, otherwise from the session.

    Sets `scope["user"]`, `scope["session_hash"]`, `scope["session_key"]`, and `scope["authentication_started_at"]`: the
    start of the authentication (`time.monotonic`), which may have missed later revocations. If the session cannot be
    read, the socket is closed with a reconnect code, because the user may or may not be logged in.

    Args:
        application: The ASGI application for `websocket` scopes, which finds the user in its scope.

    Example:
        >>> from channels.routing import URLRouter
        >>> from tidewire.routing import with_fallback
        >>> application = TicketAuth(with_fallback(URLRouter([])))

    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._by_session = SessionMiddlewareStack(_with_session_user(application))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        asgi.complete(scope)["authentication_started_at"] = time.monotonic()
        ticket, key = _valid_ticket(scope)
        user = ticket and ticket.user()
        if ticket is None or user is None:
            await self._by_session(scope, receive, send)
            return
        metrics.AUTHENTICATIONS.labels("ticket").inc()
        scope["user"] = user
        scope["session_hash"] = ticket.session
        scope["session_key"] = key
        await self._application(scope, receive, send)


def _with_session_user(application: Any) -> Any:
    async def by_session(scope: dict[str, Any], receive: Any, send: Any) -> None:
        key = scope["session"].session_key
        scope["user"], scope["session_hash"], scope["session_key"] = AnonymousUser(), "", ""
        if key:
            try:
                async with asyncio.timeout(SESSION_SECONDS):
                    session = await database_sync_to_async(read_session)(key)
            except (SessionUnknown, TimeoutError):
                metrics.AUTHENTICATIONS.labels("unknown").inc()
                await close_with(CloseCode.EXPIRED, receive, send)
                return
            scope["user"] = session.user
            if session.exists:
                scope["session_hash"], scope["session_key"] = session_hash(key), key
        metrics.AUTHENTICATIONS.labels("session").inc()
        await application(scope, receive, send)

    return by_session


def _valid_ticket(scope: dict[str, Any]) -> tuple[Ticket | None, str]:
    """Return the ticket, if it can be trusted, and the key of the session that it was issued for."""
    for name, value in scope["headers"]:
        if name == b"cookie" and COOKIE.encode() in value:
            # Parsed as by Django: a cookie with an invalid name must not hide the others.
            cookies = parse_cookie(value.decode("latin1"))
            break
    else:
        return None, ""
    key = cookies.get(django_settings.SESSION_COOKIE_NAME)
    signed = cookies.get(COOKIE)
    if key is None or signed is None:
        return None, ""
    ticket = Ticket.read(signed)
    if ticket is None or not node().revocations.allows(ticket):
        return None, ""
    return (ticket, key) if constant_time_compare(ticket.session, session_hash(key)) else (None, "")
