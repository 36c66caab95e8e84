"""Routes: a path without a consumer is answered with a close code instead of a traceback."""

from collections.abc import Awaitable, Callable
from typing import Any

from channels.routing import URLRouter

from tidewire import asgi, metrics
from tidewire.asgi import claim_socket
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
    return _Fallback(router)


class _Fallback:
    """`inner` is the router, in which `tidewire.adopt` looks for consumers."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await self.inner(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            claim_socket(scope)
            metrics.CONNECTS.labels("none", "unknown").inc()
            log_refusal("unknown", f"{scope['path'][:200]!r}", request_id=asgi.request_id(asgi.complete(scope)))
            await close_with(CloseCode.UNKNOWN, receive, send)


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
