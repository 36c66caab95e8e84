"""A small WebSocket server that can send invalid frames: a script defines the bytes that each client receives."""

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Awaitable, Callable

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


def frame(body: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    """Return a server's frame, with the shortest length field that fits."""
    head = bytes([(0x80 if final else 0) | opcode])
    if len(body) < 126:
        return head + bytes([len(body)]) + body
    if len(body) < 65536:
        return head + b"\x7e" + struct.pack("!H", len(body)) + body
    return head + b"\x7f" + struct.pack("!Q", len(body)) + body


def event(n: int, *, age_seconds: float = 0.0, pad: str = "") -> bytes:
    """Return the frame of event `n`, published `age_seconds` ago."""
    published = time.monotonic_ns() - int(age_seconds * 1e9)
    return frame(json.dumps({"type": "tick", "n": n, "t": published, "pad": pad}).encode())


class Peer:
    """A client, seen from the server."""

    def __init__(self, number: int, request: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.request = request
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> tuple[int, bytes]:
        """Read a frame of the client and return its opcode and unmasked body. A frame without a mask is an error."""
        opcode, length = await self.reader.readexactly(2)
        assert length & 0x80, "a client must mask"
        length &= 0x7F
        if length == 126:
            [length] = struct.unpack("!H", await self.reader.readexactly(2))
        mask = await self.reader.readexactly(4)
        body = await self.reader.readexactly(length)
        return opcode & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(script: Script, *, head: bytes = SWITCHING):
    """Run the server and yield its port. Connections stay open after their script, until the client closes them."""
    peers = 0

    async def serve(reader, writer):
        nonlocal peers
        number, peers = peers, peers + 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            writer.write(head)
            await script(Peer(number, request, reader, writer))
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
