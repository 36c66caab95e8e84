"""A client of an ASGI application in the event loop of a test. Each wait has a deadline."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from tidewire.events import Event

# Much longer than any step in memory takes, and short enough to wait for a test that fails.
DEADLINE_SECONDS: Final = 5.0
# Text of each message in an error.
SHOWN_CHARACTERS: Final = 200

Message = dict[str, Any]


class MemorySocket:
    """A socket, as a browser has it: opened by `MemoryNode.connect`.

    A wait that ends without the expected message raises an AssertionError with everything that arrived instead, and an
    exception of the application is raised where the test waits. The application is never cancelled by a wait.

    Args:
        application: The ASGI application.
        scope: Its scope: at least `path` and `headers`.

    Raises:
        AssertionError: The socket was refused or closed, or an expected message did not arrive in time.

    Example:
        >>> import asyncio
        >>> from channels.generic.websocket import AsyncWebsocketConsumer
        >>> from tidewire.testing import MemoryNode
        >>> class Echo(AsyncWebsocketConsumer):
        ...     async def receive(self, text_data=None, bytes_data=None):
        ...         await (self.close(4000) if text_data == "bye" else self.send(text_data))
        >>> async def talk():
        ...     async with MemoryNode(Echo.as_asgi()) as node:
        ...         socket = await node.connect("/")
        ...         await socket.send({"type": "hello", "to": "all"})
        ...         event = await socket.expect("hello")
        ...         await socket.send("hi")
        ...         text = await socket.receive()
        ...         await socket.expect_nothing(seconds=0.01)
        ...         await socket.send("bye")
        ...         await socket.expect_close(4000)
        ...         return event["to"], text
        >>> asyncio.run(talk())
        ('all', 'hi')

    """

    def __init__(self, application: Any, scope: Mapping[str, Any]) -> None:
        self._application = application
        self._scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "ws",
            "query_string": b"",
            "client": ["127.0.0.1", 50000],
            "server": ["testserver", 80],
            "subprotocols": [],
            "extensions": {},
            **scope,
        }
        self._to_application: asyncio.Queue[Message] = asyncio.Queue()
        self._unread: deque[Message] = deque()
        # The messages since the last one that was expected, for an error.
        self._arrived: list[Message] = []
        self._changed = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the socket."""
        self._to_application.put_nowait({"type": "websocket.connect"})
        self._task = asyncio.create_task(self._application(self._scope, self._to_application.get, self._take))
        self._task.add_done_callback(lambda _task: self._changed.set())
        answer = await self._next(lambda _message: True, "an answer to the handshake", DEADLINE_SECONDS)
        if answer["type"] != "websocket.accept":
            raise AssertionError(f"{self._scope['path']} refused the socket: {_shown(answer)}")

    async def send(self, message: Event | Mapping[str, Any] | str | bytes) -> None:
        """Send a message of the client.

        Args:
            message: An event, a dict that becomes JSON, a text or bytes.

        """
        if isinstance(message, Event):
            message = message.encode()
        elif isinstance(message, Mapping):
            message = json.dumps(message)
        kind = "bytes" if isinstance(message, bytes) else "text"
        self._to_application.put_nowait({"type": "websocket.receive", kind: message})

    async def receive(self, *, seconds: float = DEADLINE_SECONDS) -> str | bytes:
        """Return the next message of the application.

        Args:
            seconds: The deadline.

        Returns:
            The text, or the bytes of a binary message.

        """
        message = await self._next(lambda message: message["type"] == "websocket.send", "a message", seconds)
        return _content(message)

    async def expect(self, kind: str, *, seconds: float = DEADLINE_SECONDS, **fields: Any) -> dict[str, Any]:
        """Return the next event of a type, and skip the messages before it.

        Args:
            kind: The event's type.
            seconds: The deadline.
            fields: Values that fields of the event must have.

        Returns:
            The event as the browser sees it: a dict.

        """
        expected = {"type": kind, **fields}

        def matches(message: Message) -> bool:
            event = _event(message)
            return event is not None and all(event.get(name) == value for name, value in expected.items())

        described = kind + (f" with {json.dumps(fields, default=str)}" if fields else "")
        event = _event(await self._next(matches, described, seconds))
        assert event is not None
        return event

    async def expect_nothing(self, kind: str | None = None, *, seconds: float = 0.1) -> None:
        """Wait, and require that no message arrives.

        Args:
            kind: Type of the event that must not arrive; None: any message.
            seconds: The time to wait.

        """

        def matches(message: Message) -> bool:
            event = _event(message)
            return kind is None or (event is not None and event.get("type") == kind)

        await asyncio.sleep(seconds)
        self._raise_failure()
        found = [message for message in self._unread if matches(message)]
        if found:
            raise AssertionError(f"{kind or 'a message'} arrived: {_list(found)}")

    async def expect_close(self, code: int | None = None, *, seconds: float = DEADLINE_SECONDS) -> int:
        """Wait until the application closes the socket, and skip the messages before it.

        Args:
            code: The close code that it must have; None: any.
            seconds: The deadline.

        Returns:
            The close code.

        """
        message = await self._next(_is_close, "the end of the socket", seconds)
        found = int(message.get("code") or 1000)
        if code is not None and found != code:
            raise AssertionError(f"the socket was closed with {found}, not with {code}; {self._report()}")
        await self.close()
        return found

    async def close(self, code: int = 1000) -> None:
        """Close the socket from the side of the client, and wait until the application has handled it.

        Args:
            code: The close code.

        """
        if self._task is None:
            return
        if not self._closed:
            self._closed = True
            self._to_application.put_nowait({"type": "websocket.disconnect", "code": code})
        done, _ = await asyncio.wait([self._task], timeout=DEADLINE_SECONDS)
        if not done:
            self._task.cancel()
            raise AssertionError(f"{self._scope['path']} did not return within {DEADLINE_SECONDS} s after the close")
        self._raise_failure()

    async def _take(self, message: Message) -> None:
        if self._closed:
            return
        self._unread.append(message)
        self._changed.set()

    async def _next(self, matches: Callable[[Message], bool], name: str, seconds: float) -> Message:
        """Return the next message that matches, and forget those before it."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    while self._unread:
                        message = self._unread.popleft()
                        if matches(message):
                            self._arrived.clear()
                            return message
                        self._arrived.append(message)
                        if _is_close(message):
                            raise AssertionError(f"the socket was closed before {name}; {self._report()}")
                    self._raise_failure()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"{name} did not arrive within {seconds} s; {self._report()}") from None

    def _raise_failure(self) -> None:
        """Raise an exception of the application, or an error if it has returned while the socket is open."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return
        failure = self._task.exception()
        if failure is not None:
            failure.add_note(f"raised by the application of {self._scope['path']}; {self._report()}")
            raise failure
        if not self._closed and not any(map(_is_close, (*self._unread, *self._arrived))):
            raise AssertionError(f"the application of {self._scope['path']} has returned; {self._report()}")

    def _report(self) -> str:
        messages = [*self._arrived, *self._unread]
        return f"arrived: {_list(messages)}" if messages else "nothing had arrived"


def _is_close(message: Message) -> bool:
    return bool(message["type"] == "websocket.close")


def _content(message: Message) -> str | bytes:
    text: str | None = message.get("text")
    return bytes(message.get("bytes") or b"") if text is None else text


def _event(message: Message) -> dict[str, Any] | None:
    """Return the JSON object of a text message."""
    if message["type"] != "websocket.send" or not isinstance(message.get("text"), str):
        return None
    try:
        value = json.loads(message["text"])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _shown(message: Message) -> str:
    if message["type"] == "websocket.send":
        return f"{_content(message)!r}"[:SHOWN_CHARACTERS]
    code = message.get("code")
    kind = str(message["type"]).removeprefix("websocket.")
    return f"{kind} {code}" if code else kind


def _list(messages: list[Message]) -> str:
    return ", ".join(map(_shown, messages))
