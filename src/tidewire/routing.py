"""Routes: a path that no consumer has is answered with a close code, not with a traceback."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter

from tidewire import metrics
from tidewire.close_codes import CloseCode


def with_fallback(router: URLRouter) -> Any:
    """The router, with sockets on unknown paths closed as `UNKNOWN`."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            await _close_unknown(receive, send)

    return application


async def _close_unknown(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Plain ASGI: a consumer of Channels would hop to a thread for each message of whoever tries paths."""
    metrics.CONNECTS.labels("none", "unknown").inc()
    await receive()
    # A browser sees a close code only after an accepted handshake.
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": int(CloseCode.UNKNOWN)})
    while (await receive())["type"] != "websocket.disconnect":
        pass
