"""The origin check: a page of another site must not open a socket with this site's cookies."""

import logging
from typing import Any
from urllib.parse import urlsplit

from tidewire import metrics
from tidewire.conf import settings

logger = logging.getLogger(__name__)


class OriginCheck:
    """ASGI middleware: refuses with 403 a handshake whose Origin is neither configured nor the Host itself.

    A request without an Origin is let through: browsers always send one, and cookies of other programs
    are their own. The refusal is logged with both names (Channels says nothing: channels 2062).
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin1")
        host = headers.get(b"host", b"").decode("latin1")
        if not origin or is_allowed(origin, host, settings().ORIGINS):
            await self._application(scope, receive, send)
            return
        metrics.CONNECTS.labels("none", "origin").inc()
        logger.warning(
            "origin %r refused for host %r; allowed are %s", origin[:200], host[:200], settings().ORIGINS or "the host"
        )
        await receive()
        await send({"type": "websocket.close"})


def is_allowed(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may open a socket on `host`."""
    if allowed:
        return origin in allowed
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        # No URL at all, such as `http://[`.
        return False
