"""Bearer tokens: authentication for clients that have no cookies, such as mobile apps and scripts.

The client gets a token from a page or an API of the project, and sends it with the handshake: in the header
`Authorization: Bearer TOKEN` (RFC 6750, section 2.1), or, as browsers cannot set headers, as the second subprotocol of
`new WebSocket(url, ["tidewire.bearer", token])`. A token in the URL would stand in the logs of each proxy.
"""

import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from channels.db import database_sync_to_async

from tidewire import asgi, metrics
from tidewire.auth import stamps
from tidewire.auth.feature import SessionFeature
from tidewire.auth.ticket import Ticket
from tidewire.close_codes import CloseCode
from tidewire.exceptions import RedisUnavailable
from tidewire.routing import close_with
from tidewire.server.current_node import node

__all__ = ["PROTOCOL", "BearerAuth", "InvalidToken", "issue_token"]

logger = logging.getLogger(__name__)

# The subprotocol that announces a token.
PROTOCOL = "tidewire.bearer"
_SALT = "tidewire.bearer"


class InvalidToken(ValueError):
    """The token grants no access, and will not later: it is not one of this project, or its user is gone.

    Example:
        >>> raise InvalidToken("the signature is wrong")
        Traceback (most recent call last):
        ...
        tidewire.auth.bearer.InvalidToken: the signature is wrong

    """


def issue_token(user: Any) -> str:
    """Create a token for an authenticated user, signed with Django's SECRET_KEY.

    It is valid for TICKET_SECONDS, and ends earlier if the user is revoked. A client should get a new one before each
    connection. To be called by a page or an API, where the user was read in the same request.

    Args:
        user: A row of the user model.

    Returns:
        The token.

    Raises:
        RedisUnavailable: The time and the position of the revocations could not be read.

    Example:
        >>> from django.http import JsonResponse
        >>> def token(request):
        ...     return JsonResponse({"token": issue_token(request.user)}, headers={"Cache-Control": "no-store"})

    """
    stamp = stamps.read_stamp()
    if stamp is None:
        raise RedisUnavailable("no token is issued, because the position of the revocations cannot be read")
    # A browser refuses a subprotocol with a colon, which separates the signature.
    return Ticket.issue(user, "", stamp).sign(salt=_SALT).replace(":", ".")


async def authenticate_token(token: str) -> Any | None:
    """Find the user of a token of `issue_token`.

    Args:
        token: Text of the client.

    Returns:
        The user; None if the token has expired, or if this node has not received all revocations.

    Raises:
        InvalidToken: This project has not issued the token, or the user model has changed.

    """
    ticket = Ticket.read(token.replace(".", ":"), salt=_SALT)
    user = ticket and ticket.user()
    if ticket is None or user is None:
        raise InvalidToken("the token was not issued by this project")
    return user if node().feature(SessionFeature).revocations.allows(ticket) else None


class BearerAuth:
    """ASGI middleware: sets the user of a handshake with a token. All other handshakes pass unchanged.

    An expired token closes the socket with the reconnect code `EXPIRED`; the client should get a new one. An invalid
    token closes it with the final code `REVOKED`. Sockets by token are closed with `EXPIRED` at intervals, so that
    they are authenticated again, and at once if the user is revoked.

    Args:
        application: The ASGI application for `websocket` scopes, such as `TicketAuth`, which keeps a user that is set.
        authenticate: Returns the user of a token, or None if the client should get a new token; raises `InvalidToken`.
            Sync or async. The default reads tokens of `issue_token`; a function of the project may read a JWT.

    Example:
        >>> from channels.routing import URLRouter
        >>> from tidewire.auth.sockets import TicketAuth
        >>> application = BearerAuth(TicketAuth(URLRouter([])))

    """

    def __init__(
        self, application: Any, *, authenticate: Callable[[str], Any | Awaitable[Any]] = authenticate_token
    ) -> None:
        self.application = application
        is_async = inspect.iscoroutinefunction(authenticate) or inspect.iscoroutinefunction(
            getattr(authenticate, "__call__", None)  # noqa: B004  # an object with an async call
        )
        self._authenticate = authenticate if is_async else database_sync_to_async(authenticate)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        asgi.complete(scope)
        token, is_subprotocol = _token(scope)
        if token is None:
            await self.application(scope, receive, send)
            return
        started_at = time.monotonic()
        reply = _with_subprotocol(send) if is_subprotocol else send
        try:
            user = await self._authenticate(token)
            if inspect.isawaitable(user):
                # A plain function may return a coroutine, which must not pass as a user.
                user = await user
        except InvalidToken as error:
            logger.info("a token was refused: %s", error)
            metrics.AUTHENTICATIONS.labels("unknown").inc()
            asgi.claim_socket(scope)
            await close_with(CloseCode.REVOKED, receive, reply)
            return
        if user is None:
            metrics.AUTHENTICATIONS.labels("unknown").inc()
            asgi.claim_socket(scope)
            await close_with(CloseCode.EXPIRED, receive, reply)
            return
        metrics.AUTHENTICATIONS.labels("bearer").inc()
        scope |= {"user": user, "session_hash": "", "session_key": "", "authentication_started_at": started_at}
        await self.application(scope, receive, reply)


def _token(scope: dict[str, Any]) -> tuple[str | None, bool]:
    """Return the token, if there is one, and whether it came as a subprotocol."""
    scheme, _, value = asgi.header(scope, b"authorization").decode("latin1").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip(), False
    protocols = list(scope.get("subprotocols") or ())
    if PROTOCOL not in protocols:
        return None, False
    # The token follows its announcement. Without one the handshake is refused as invalid.
    after = protocols[protocols.index(PROTOCOL) + 1 :]
    scope["subprotocols"] = [name for name in protocols if name not in (PROTOCOL, *after[:1])]
    return after[0] if after else "", True


def _with_subprotocol(send: Any) -> Any:
    """Return a `send` that selects the subprotocol: without one a browser fails the connection."""

    async def reply(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": PROTOCOL}
        await send(message)

    return reply
