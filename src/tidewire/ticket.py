"""The ticket: a short-lived, signed cookie that lets a socket be authenticated without a query.

It holds an HMAC of the session key, never the key, and counts only beside the session cookie it was
made for: a ticket alone opens nothing, and a session's end ends its tickets.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from channels.auth import AuthMiddlewareStack
from django.conf import settings as django_settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.utils.crypto import constant_time_compare, salted_hmac

from tidewire import metrics
from tidewire.conf import settings
from tidewire.node import node

COOKIE = "tidewire_ticket"
_SALT = "tidewire.ticket"


@dataclass(frozen=True, slots=True)
class TicketUser:
    """Who a ticket says the socket's user is: what a consumer needs, without a row of the database."""

    pk: int | str
    username: str

    is_authenticated = True
    is_anonymous = False

    def get_username(self) -> str:
        """The name, as Django's user model gives it."""
        return self.username


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the cookie says. `issued_ms` is in milliseconds since 1970, `session` from `session_mark`."""

    pk: int | str
    username: str
    session: str
    issued_ms: int

    def sign(self) -> str:
        """The cookie's value."""
        return signing.dumps([self.pk, self.username, self.session, self.issued_ms], salt=_SALT, compress=False)

    @classmethod
    def read(cls, value: str) -> Self | None:
        """The ticket, where it is genuine and not too old; else None."""
        try:
            ticket = cls(*signing.loads(value, salt=_SALT, max_age=settings().TICKET_SECONDS))
        except (signing.BadSignature, TypeError, ValueError):
            return None
        return ticket


def session_mark(session_key: str) -> str:
    """An HMAC that names a session without giving it away."""
    return salted_hmac(_SALT, session_key, algorithm="sha256").hexdigest()[:32]


class TicketMiddleware:
    """Page side: gives logged-in users a ticket, renews it in its second half, takes it back at logout."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        held = request.COOKIES.get(COOKIE)
        if not request.user.is_authenticated or request.session.session_key is None:
            if held:
                response.delete_cookie(COOKIE, path="/", samesite="Lax")
            return response
        mark = session_mark(request.session.session_key)
        if not held or not self._is_fresh(held, request.user.pk, mark):
            ticket = Ticket(request.user.pk, request.user.get_username(), mark, int(time.time() * 1000))
            response.set_cookie(
                COOKIE,
                ticket.sign(),
                max_age=settings().TICKET_SECONDS,
                secure=django_settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response

    def _is_fresh(self, held: str, pk: object, mark: str) -> bool:
        ticket = Ticket.read(held)
        return (
            ticket is not None
            and (ticket.pk, ticket.session) == (pk, mark)
            and time.time() - ticket.issued_ms / 1000 < settings().TICKET_SECONDS / 2
        )


class TicketAuth:
    """ASGI middleware: the user from the ticket where there is a live one, else from the session as usual.

    Sets `scope["user"]`, `scope["session_mark"]`, `scope["session_key"]`, and in `scope["asked_at"]` when it began to
    look (`time.monotonic`): what is revoked from then on it may have missed.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._by_session = AuthMiddlewareStack(_marked(application))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["asked_at"] = time.monotonic()
        ticket, key = _ticket_of(scope)
        if ticket is None:
            metrics.AUTHENTICATIONS.labels("session").inc()
            await self._by_session(scope, receive, send)
            return
        metrics.AUTHENTICATIONS.labels("ticket").inc()
        scope["user"] = TicketUser(ticket.pk, ticket.username)
        scope["session_mark"] = ticket.session
        scope["session_key"] = key
        await self._application(scope, receive, send)


def _marked(application: Any) -> Any:
    async def marked(scope: dict[str, Any], receive: Any, send: Any) -> None:
        key = scope["session"].session_key
        scope["session_mark"] = session_mark(key) if key else ""
        scope["session_key"] = key or ""
        await application(scope, receive, send)

    return marked


def _ticket_of(scope: dict[str, Any]) -> tuple[Ticket | None, str]:
    """The ticket, where it may be trusted, and the key of the session that it was made for."""
    for name, value in scope["headers"]:
        if name == b"cookie" and COOKIE.encode() in value:
            # As Django reads them: one cookie with an odd name must not cost the others.
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
    return (ticket, key) if constant_time_compare(ticket.session, session_mark(key)) else (None, "")
