"""Routes: a path without a consumer is answered with a close code instead of a traceback."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter

from tidewire import asgi, metrics
from tidewire.close_codes import CloseCode
from tidewire.refusals import log_refusal


def with_fallback(router: URLRouter) -> Any:
    """Extend a router to close sockets on unknown paths as `UNKNOWN`.

    Args:
        router: The routes of a project's consumers.

    Returns:
        An ASGI application for `websocket` scopes.

    Example:
        >>> from channels.routing import URLRouter
        >>> application = with_fallback(URLRouter([]))

    """

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            metrics.CONNECTS.labels("none", "unknown").inc()
            log_refusal("unknown", f"{scope['path'][:200]!r}", request_id=asgi.request_id(asgi.complete(scope)))
            await close_with(CloseCode.UNKNOWN, receive, send)

    return application


async def close_with(
    code: CloseCode, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """Accept a socket and close it. Plain ASGI, because a consumer of Channels needs a thread hop per message.

    Args:
        code: The close code for the client.
        receive: Receives the next ASGI message of the socket.
        send: Sends an ASGI message to the socket.

    Example:
        >>> import asyncio
        >>> from tidewire.close_codes import CloseCode
        >>> async def receive():
        ...     return {"type": "websocket.disconnect"}
        >>> async def send(message):
        ...     print(message)
        >>> asyncio.run(close_with(CloseCode.UNKNOWN, receive, send))
        {'type': 'websocket.accept'}
        {'type': 'websocket.close', 'code': 4504}

    """
    await receive()
    # A browser can see a close code only after an accepted handshake.
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": int(code)})
    while (await receive())["type"] != "websocket.disconnect":
        pass
