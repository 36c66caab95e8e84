"""Routes: a path that no consumer has is answered with a close code, not with a traceback."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import URLRouter

from tidewire import metrics
from tidewire.close_codes import CloseCode


class _Unknown(AsyncWebsocketConsumer):
    channel_layer_alias = "tidewire: none"

    async def connect(self) -> None:
        metrics.CONNECTS.labels("none", "unknown").inc()
        await self.accept()
        await self.close(int(CloseCode.UNKNOWN))


def with_fallback(router: URLRouter) -> Any:
    """The router, with sockets on unknown paths closed as `UNKNOWN`."""
    unknown = _Unknown.as_asgi()

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        try:
            await router(scope, receive, send)
        except ValueError as error:
            if "No route found" not in str(error):
                raise
            await unknown(scope, receive, send)

    return application
