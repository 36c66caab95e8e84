"""The identity of a socket's user: a primary key, or for an anonymous visitor the session or the address."""

from typing import Any

from django.utils.crypto import salted_hmac

from tidewire.auth.sessions import session_hash

# Enough digits that two visitors of a room have different names.
_DIGITS = 10


def identity(scope: dict[str, Any]) -> str:
    """Return the name by which a node counts a user's sockets.

    Anonymous visitors have no primary key, so each session, or each address without a session, counts separately. The
    session is that of `TicketAuth` or of Channels' own middleware.
    """
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return str(user.pk)
    return f"anonymous {scope.get('session_hash') or _session(scope) or _address(scope)}"


def member_name(scope: dict[str, Any]) -> str:
    """Return the name that other users see: the user's, or for an anonymous visitor one without session or address."""
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return str(user.get_username())
    digest = salted_hmac("tidewire.visitor", identity(scope), algorithm="sha256").hexdigest()
    return f"visitor-{digest[:_DIGITS]}"


def _session(scope: dict[str, Any]) -> str:
    key = getattr(scope.get("session"), "session_key", None)
    return session_hash(key) if key else ""


def _address(scope: dict[str, Any]) -> str:
    """Return the client's address. nginx sets X-Real-IP and overwrites a value sent by the client."""
    for name, value in scope.get("headers") or ():
        if name == b"x-real-ip":
            return str(value.decode("latin1"))
    return str((scope.get("client") or ("",))[0])
