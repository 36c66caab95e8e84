"""The identity of a socket's user: a primary key, or for an anonymous visitor the session or the address."""

from typing import Any


def identity(scope: dict[str, Any]) -> str:
    """Return the name by which a node counts a user's sockets.

    Anonymous visitors have no primary key, so each session, or each address without a session, counts separately.
    """
    user = scope["user"]
    if user.is_authenticated:
        return str(user.pk)
    return f"anonymous {scope.get('session_hash') or _address(scope)}"


def _address(scope: dict[str, Any]) -> str:
    """Return the client's address. nginx sets X-Real-IP and overwrites a value sent by the client."""
    for name, value in scope["headers"]:
        if name == b"x-real-ip":
            return str(value.decode("latin1"))
    return str((scope.get("client") or ("",))[0])
