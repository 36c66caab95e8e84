"""The origin check: a page of another site must not open a socket with this site's cookies.

RFC 6455, section 10.2, describes the check, and RFC 6454 the origin.
"""

from typing import Any

from tidewire import asgi, metrics
from tidewire.addresses import origin
from tidewire.conf import settings
from tidewire.refusals import log_refusal


class OriginCheck:
    """ASGI middleware: refuses a handshake with 403 unless its Origin is configured or equals the Host.

    A request without an Origin is accepted: browsers always send one, and other programs have cookies of their own
    only. A refusal is logged with both names (Channels logs nothing: channels 2062).

    Args:
        application: The ASGI application for `websocket` scopes that runs if the origin is allowed.

    Example:
        >>> from channels.routing import URLRouter
        >>> from tidewire.auth.sockets import TicketAuth
        >>> application = OriginCheck(TicketAuth(URLRouter([])))

    """

    def __init__(self, application: Any) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        asgi.complete(scope)
        page = asgi.header(scope, b"origin").decode("latin1")
        host = asgi.header(scope, b"host").decode("latin1")
        if not page or is_allowed(page, host, settings().ALLOWED_ORIGINS):
            await self.application(scope, receive, send)
            return
        asgi.claim_socket(scope)
        metrics.CONNECTS.labels("none", "origin").inc()
        allowed = ", ".join(settings().ALLOWED_ORIGINS) or "the host"
        log_refusal(
            "origin",
            f"{page[:200]!r} refused for host {host[:200]!r}; allowed are {allowed}",
            request_id=asgi.request_id(scope),
        )
        await receive()
        await send({"type": "websocket.close"})


def is_allowed(page: str, host: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a page may open a socket.

    Args:
        page: The page's origin, as in the header Origin.
        host: The host of the handshake, as in the header Host.
        allowed: The setting ALLOWED_ORIGINS: normalised origins. Empty: only the origin of the host is allowed.

    Returns:
        True if the page may open it. Invalid text of a client gives False.

    Example:
        >>> is_allowed("https://docs.example.com", "docs.example.com", ())
        True
        >>> is_allowed("https://evil.example", "docs.example.com", ())
        False

    """
    try:
        page_origin = origin(page)
        # The scheme's default port can appear in the Host header, but never in an origin.
        return page_origin in allowed if allowed else page_origin == origin(f"{page_origin.partition(':')[0]}://{host}")
    except ValueError:
        # Not a valid origin, such as `null`.
        return False
