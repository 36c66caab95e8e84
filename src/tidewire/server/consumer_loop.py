"""The ASGI side of a consumer: receives messages, and releases the socket in every case. Knows no topic."""

import asyncio
import logging
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from tidewire import asgi, metrics
from tidewire.asgi import ABNORMAL_CLOSURE
from tidewire.close_codes import CloseCode
from tidewire.fanout.connection import Connection, Writer, attempt
from tidewire.fanout.send_writer import SendWriter, abort_transport
from tidewire.refusals import log_refusal
from tidewire.server.inbox import DISCONNECT_TIMEOUT_SECONDS, Inbox

logger = logging.getLogger(__name__)

# The server's own handlers of a connection finish within milliseconds. If the database hangs, the handshake must not
# hang with it: the socket is closed with a reconnect code before the proxy or the browser times out.
CONNECT_SECONDS = 10.0
# The parts of the scope that an open socket needs. Headers, cookies and session take 5 KB per socket.
KEPT_SCOPE_KEYS = ("type", "path", "user", "url_route")


class ConsumerLoop(AsyncWebsocketConsumer):
    """The base of `LiveConsumer`, which sets `connection` once the node has accepted the socket."""

    # No layer with this name is configured: the hub is the only member of each group in this process, so that a
    # connection needs no channel, no subscription and no task.
    channel_layer_alias = "tidewire: the hub listens"

    # True once the close frame was sent; input that a flooding client sends after it is discarded.
    _closing = False
    _accepted = False
    # True once the project's `disconnect` was called.
    _disconnect_called = False

    connection: Connection

    async def accept(self, *arguments: Any, **options: Any) -> None:
        self._accepted = True
        await super().accept(*arguments, **options)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the socket from this side, once. autobahn requires a plain integer."""
        if self._closing:
            return
        self._closing = True
        await super().close(code if code is None else int(code), reason)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Channels' loop without its task per connection, since messages come from one source. Returns once the socket
        # is open if the server can pass messages to the consumer directly.
        self.scope = asgi.complete(scope)
        asgi.claim_socket(scope)
        self.base_send = send
        detached = False
        try:
            first = await receive()
            deadline = asyncio.timeout(CONNECT_SECONDS)
            try:
                async with deadline:
                    await self.dispatch(first)
            except TimeoutError:
                if not deadline.expired():
                    raise
                await self._close_unready()
            if hasattr(self, "connection"):
                self.scope = {name: scope[name] for name in KEPT_SCOPE_KEYS if name in scope}
                detach = getattr(self.connection.writer, "detach", None)
                if detach is not None:
                    detach(self.dispatch, self._flooded)
                    detached = True
                    return
            await self._receive(receive)
        except StopConsumer:
            pass
        except Exception:
            self._end(ABNORMAL_CLOSURE)
            if hasattr(self, "connection"):
                await self._call_disconnect(ABNORMAL_CLOSURE)
            raise
        finally:
            # Must also run if the server has cancelled the application.
            if not detached:
                self._end(ABNORMAL_CLOSURE)

    async def dispatch(self, message: dict[str, Any]) -> None:
        # Without Channels' thread hop that closes old database connections: `database_sync_to_async` closes them after
        # each use of the database.
        try:
            await getattr(self, message["type"].replace(".", "_"))(message)
        except StopConsumer:
            raise
        except Exception as error:
            # The traceback is logged by the server, which does not know the socket's user.
            error.add_note(self._description())
            raise

    def _description(self) -> str:
        """Return the name of this socket for a traceback."""
        return f"consumer={type(self).__name__} request_id={asgi.request_id(asgi.complete(self.scope))}"

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        text, data = asgi.content(message)
        await self.receive(text_data=text, bytes_data=data)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        code = asgi.close_code(message)
        self._end(code)
        if hasattr(self, "connection"):
            # The node may have ended the socket before, for a reason that the transport does not know.
            code = self.connection.code or code
        else:
            attempt(self._count_close, code)
        await self._call_disconnect(code)
        raise StopConsumer

    def _end(self, code: int) -> None:
        """Release all resources of this socket. Further calls have no effect."""
        if hasattr(self, "connection"):
            self.connection.end(code)

    async def _call_disconnect(self, code: int) -> None:
        """Call the project's `disconnect`, once."""
        if self._disconnect_called:
            return
        self._disconnect_called = True
        try:
            async with asyncio.timeout(DISCONNECT_TIMEOUT_SECONDS):
                await self.disconnect(code)
        except StopConsumer:
            pass
        except Exception:
            logger.exception("%s.disconnect failed; the socket had been released before", type(self).__name__)

    async def _receive(self, receive: Any) -> None:
        """Receive messages, also while one is handled, from a server that cannot pass them directly."""
        running = asyncio.current_task()
        assert running is not None
        failed: list[BaseException | None] = []

        def fail(error: BaseException | None = None) -> None:
            failed.append(error)
            running.cancel()

        def abort() -> None:
            # The abort must come first: a server can close an aborted connection, but a closed one can no longer be
            # aborted.
            abort_transport(receive)
            fail()

        inbox = Inbox(self.dispatch, fail, self._flooded)
        if hasattr(self, "connection") and isinstance(self.connection.writer, SendWriter):
            self.connection.writer.on_abort = abort
        try:
            while True:
                message = await receive()
                inbox.put_nowait(message)
                if message["type"] == "websocket.disconnect":
                    # The end must not wait for a message that is still being handled.
                    self._end(asgi.close_code(message))
                    await inbox.finished()
                    return
        except asyncio.CancelledError:
            if not failed:
                raise
            running.uncancel()
            if failed[0] is not None:
                raise failed[0] from None
            # Daphne leaves the socket open when its application returns.
            self._close_soon(None)
        finally:
            inbox.close()

    def _flooded(self) -> None:
        """Close the socket and drop the queue, because more messages are queued than a client may send."""
        if hasattr(self, "connection") and not self._closing:
            metrics.REJECTED.labels(type(self).__name__, "flooding").inc()
            self._close_soon(CloseCode.FLOODING)

    async def _close_unready(self) -> None:
        """Close a connection that was not ready in time, with a reconnect code that a browser can see."""
        name, reason = type(self).__name__, CloseCode.FAILED.name.lower()
        metrics.CONNECTS.labels(name, reason).inc()
        detail = f"connect did not end within {CONNECT_SECONDS} s"
        log_refusal(reason, detail, consumer=name, request_id=asgi.request_id(self.scope))
        if not self._accepted:
            await self.accept()
        await ConsumerLoop.close(self, CloseCode.FAILED)

    def _writer(self) -> Writer:
        offered: Writer | None = self.scope["extensions"].get("tidewire.writer")
        if offered is not None:
            return offered
        writer = SendWriter(self.base_send)
        # Messages that this consumer sends, the close in particular, must follow the frames written by the hub.
        self.base_send = writer.send
        return writer

    def _close_soon(self, code: CloseCode | None) -> None:
        # The project may override `close` with a method that fails; a drain and a revocation must not depend on it.
        closing = asyncio.ensure_future(ConsumerLoop.close(self, code))
        closing.add_done_callback(_swallow)

    def _count_close(self, code: int) -> None:
        """Count the end of a socket."""
        raise NotImplementedError


def has_live_consumers() -> bool:
    """Return whether the project has live consumers, which need a node, and its node a Redis."""
    return any(live.__subclasses__() for live in ConsumerLoop.__subclasses__())


def _swallow(closing: "asyncio.Future[None]") -> None:
    """Ignore an error of a close: the socket may have just closed, which the server reports separately."""
    if not closing.cancelled() and (error := closing.exception()):
        logger.debug("close failed: %s", error)
