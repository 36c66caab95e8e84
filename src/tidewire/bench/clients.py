"""The sockets of a measurement, by `websockets`' protocol without its tasks, so that thousands fit in a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from tidewire.bench.errors import CannotMeasure

OPEN_SECONDS = 30.0
CLOSE_SECONDS = 15.0
# Handshakes at a time, because a storm would change the measurement.
_CONCURRENT = 20
# Of a handshake that the server closes without an answer.
ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_ABNORMAL = 1006


class Client(asyncio.Protocol):
    """A socket: `on_text` is called with each message of the server and the time of its arrival."""

    def __init__(self, url: str, headers: Mapping[str, str], on_text: Callable[[str, float], None]) -> None:
        # Compression is offered, as by browsers.
        self._protocol = ClientProtocol(parse_uri(url), extensions=[ClientPerMessageDeflateFactory()], max_size=None)
        self._headers = headers
        self._on_text = on_text
        self._parts: list[bytes] = []
        self.answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def is_compressed(self) -> bool:
        """Whether the server has accepted the compression of messages."""
        return bool(self._protocol.extensions)

    def send(self, text: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(text.encode())
            self._flush()

    def close(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()

    def abort(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers.pop(name, None)
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._protocol.receive_data(data)
        self._flush()
        self._handle_events(now)

    def eof_received(self) -> None:
        # A refusal may end without a length.
        self._protocol.receive_eof()
        self._handle_events(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        received = self._protocol.close_rcvd
        if not self.answered.done():
            self.answered.set_result(0)
        if not self.closed.done():
            self.closed.set_result(received.code if received else _ABNORMAL)

    def _handle_events(self, now: float) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event, now)
            elif isinstance(event, Response) and not self.answered.done():
                self.answered.set_result(event.status_code)

    def _frame(self, frame: Frame, now: float) -> None:
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            body, self._parts = b"".join(self._parts), []
            self._on_text(body.decode(errors="replace"), now)

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


async def open_clients(
    url: str, numbers: Sequence[int], headers: Mapping[str, str], on_text: Callable[[int, str, float], None]
) -> list[Client]:
    """Open sockets with these numbers. Raises `CannotMeasure` with the server's answer if one is refused."""
    clients: list[Client] = []
    for first in range(0, len(numbers), _CONCURRENT):
        some = numbers[first : first + _CONCURRENT]
        clients += await asyncio.gather(*(_open(url, number, headers, on_text) for number in some))
    return clients


async def _open(
    url: str, number: int, headers: Mapping[str, str], on_text: Callable[[int, str, float], None]
) -> Client:
    status = 0
    for _ in range(ATTEMPTS):
        client, status = await _try(url, number, headers, on_text)
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return client
        if status:
            break
        # Daphne closes a handshake that its application has not answered in 5 s, as on a busy machine.
        await asyncio.sleep(_PAUSE_SECONDS)
    raise CannotMeasure(_refusal(parse_uri(url).resource_name, number, status))


async def _try(
    url: str, number: int, headers: Mapping[str, str], on_text: Callable[[int, str, float], None]
) -> tuple[Client, int]:
    """Return a client and the status of the answer to its handshake; 0: the server closed without an answer."""
    uri = parse_uri(url)
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            _, client = await asyncio.get_running_loop().create_connection(
                lambda: Client(url, headers, lambda text, now: on_text(number, text, now)), uri.host, uri.port
            )
            return client, await client.answered
    except TimeoutError:
        raise CannotMeasure(f"socket {number + 1} was not answered within {OPEN_SECONDS:.0f} s") from None
    except OSError as error:
        raise CannotMeasure(f"socket {number + 1} could not be opened: {error}") from None


def _refusal(path: str, number: int, status: int) -> str:
    if status == HTTPStatus.FORBIDDEN:
        remedy = (
            "does the consumer need a login (--header 'Cookie: sessionid=...') "
            "or the origin of your site (--header 'Origin: https://...')?"
        )
    elif status == HTTPStatus.NOT_FOUND:
        remedy = "is it a path of the websocket routes?"
    else:
        remedy = "the path may have no route, the consumer failed in connect(), or the machine is too busy"
    answer = f"with {status}" if status else "without an answer"
    return f"socket {number + 1} was refused at {path} {answer}: {remedy}"


async def close_clients(clients: list[Client]) -> None:
    """Close sockets so that each `disconnect()` runs, and wait for that."""
    for client in clients:
        client.close()
    await asyncio.wait([client.closed for client in clients], timeout=CLOSE_SECONDS)
    for client in clients:
        client.abort()
