"""The page's side of tickets: issues them, and revokes the sessions that a response ends."""

from collections.abc import Callable

from django.apps import apps
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from tidewire import metrics
from tidewire.auth import stamps
from tidewire.auth.revoke import revoke, revoke_session
from tidewire.auth.sessions import keep_session_key, key_is_data, record_secret_key, session_hash
from tidewire.auth.ticket import COOKIE, Ticket
from tidewire.conf import settings

__all__ = ["TicketMiddleware"]


class TicketMiddleware:
    """Page side: issues a ticket to authenticated users, renews it in its second half, and removes it at logout.

    Revokes a session that a response ends or replaces: a logout, another user's login, a new key for the same user.
    Must be placed directly after AuthenticationMiddleware, because a stamp must be older than the reading of the
    session.

    Args:
        get_response: The next middleware or the view, as Django passes it.

    Raises:
        ImproperlyConfigured: The app `tidewire` is not installed. Tickets without their revocation would outlive a
            logout.

    Example:
        >>> MIDDLEWARE = [
        ...     "django.contrib.sessions.middleware.SessionMiddleware",
        ...     "django.contrib.auth.middleware.AuthenticationMiddleware",
        ...     "tidewire.auth.pages.TicketMiddleware",
        ... ]

    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        if not apps.is_installed("tidewire"):
            raise ImproperlyConfigured(
                'TicketMiddleware needs "tidewire" in INSTALLED_APPS, which ends tickets and sockets at a logout'
            )
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
            if before is None and current is not None and current.session == session_hash(key):
                # A logout removes the ticket, so this session was deleted by something else.
                metrics.SESSIONS_MISSING.inc()
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
