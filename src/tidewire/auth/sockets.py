"""The socket's side of tickets: authenticates a handshake by its ticket, otherwise by its session."""

import asyncio
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.sessions import SessionMiddlewareStack
from django.conf import settings as django_settings
from django.contrib.auth.models import AnonymousUser
from django.http import parse_cookie
from django.utils.crypto import constant_time_compare

from tidewire import asgi, metrics
from tidewire.auth.feature import SessionFeature
from tidewire.auth.sessions import read_session, session_hash
from tidewire.auth.ticket import COOKIE, Ticket
from tidewire.close_codes import CloseCode
from tidewire.exceptions import SessionUnknown
from tidewire.refusals import log_refusal
from tidewire.routing import close_with
from tidewire.server.current_node import node

__all__ = ["TicketAuth"]

# A session is read in milliseconds. If the database hangs, the handshake must not hang with it.
SESSION_SECONDS = 10.0


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
        self.application = application

    @property
    def application(self) -> Any:
        """The ASGI application behind it, which may be replaced."""
        return self._application

    @application.setter
    def application(self, application: Any) -> None:
        self._application = application
        self._by_session = SessionMiddlewareStack(_with_session_user(application))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if "authentication_started_at" in asgi.complete(scope):
            # Another credential has authenticated the user.
            await self._application(scope, receive, send)
            return
        scope["authentication_started_at"] = time.monotonic()
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
                asgi.claim_socket(scope)
                log_refusal(
                    CloseCode.EXPIRED.name.lower(),
                    "neither a valid ticket nor a session that can be read",
                    request_id=asgi.request_id(scope),
                )
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
    if ticket is None or not node().feature(SessionFeature).revocations.allows(ticket):
        return None, ""
    return (ticket, key) if constant_time_compare(ticket.session, session_hash(key)) else (None, "")
