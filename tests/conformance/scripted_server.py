"""A WebSocket server that is late, silent or wrong on purpose, and serves `client.js` to a browser.

The present path under /ws/ follows a script: a function that receives the `Peer` of each connection.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

STATIC = Path(__file__).resolve().parents[2] / "src" / "tidewire" / "static" / "tidewire"
TYPES = {".js": "text/javascript", ".html": "text/html"}
# A page with only the client. All reports of the client are recorded in order.
PAGE = b"""<!doctype html><title>client.js</title><script type="module">
import { Live } from "/tidewire/client.js";
const started = performance.now();
const note = (kind, value) => said.push({ kind, value, ms: Math.round(performance.now() - started) });
window.said = [];
window.states = () => said.filter(({ kind }) => kind === "state").map(({ value }) => value.state);
window.events = () => said.filter(({ kind }) => kind === "event").map(({ value }) => value);
window.addEventListener("error", (event) => note("error", event.message));
window.addEventListener("unhandledrejection", (event) => note("error", String(event.reason)));
window.open_ = (path, options = {}) => {
  window.live = new Live(path, {
    on: { tick: (event) => note("event", event.n) },
    onState: (state, detail) => note("state", { state, ...detail }),
    onGap: (event) => note("gap", event.topic),
    ...options,
  });
};
window.path = "PATH";
window.ready = true;
if (location.search === "?open") open_(path, { heartbeatMs: 300, timeoutMs: 5000 });
</script>"""
ANSWER_SECONDS = 5.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(body: bytes, opcode: int = TEXT) -> bytes:
    """Return a server's frame."""
    if len(body) < 126:
        return bytes([0x80 | opcode, len(body)]) + body
    return bytes([0x80 | opcode, 126]) + struct.pack("!H", len(body)) + body


class Peer:
    """A connection, from the server's side. `messages` are those of the client, including pings."""

    def __init__(self, number: int, target: str, key: bytes, streams: tuple[Any, Any]) -> None:
        self.number = number
        self.at = parse_qs(urlsplit(target).query).get("at", [])
        self.began = time.monotonic()
        self.messages: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.ended = False
        self._silent = self._closing = self._answered = False
        self._key = key
        self._reader, self._writer = streams

    async def accept(self) -> None:
        digest = base64.b64encode(hashlib.sha1(self._key + GUID, usedforsecurity=False).digest())
        self._writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + digest + b"\r\n\r\n"
        )
        await self._writer.drain()

    async def refuse(self, status: str = "503 Service Unavailable") -> None:
        self._writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        self.abort()

    async def say(self, event: dict[str, Any] | str | bytes, opcode: int = TEXT) -> None:
        body = event if isinstance(event, bytes) else (event if isinstance(event, str) else json.dumps(event)).encode()
        self._writer.write(frame(body, opcode))
        await self._writer.drain()

    async def close(self, code: int | None = None) -> None:
        self._closing = True
        self._writer.write(frame(b"" if code is None else struct.pack("!H", code), CLOSE))
        await self._writer.drain()

    async def answered(self) -> None:
        """Wait for the answer to a close. A browser that cannot write its answer reports 1006 instead of the code."""
        with contextlib.suppress(TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while self._closing and not self._answered:
                    await self.receive()

    def abort(self) -> None:
        self._writer.close()

    def fall_silent(self) -> None:
        """Stop answering, like a dead network; the connection stays open."""
        self._silent = True

    async def receive(self) -> dict[str, Any] | None:
        """Return the next message of the client, or None at its end. Pings of the protocol are answered."""
        while True:
            opcode, body = await self._frame()
            if opcode == TEXT:
                message: dict[str, Any] = json.loads(body)
                self.messages.append(message)
                return message
            if opcode == CLOSE:
                self._answered = True
                self.close_code = struct.unpack("!H", body[:2])[0] if body else None
                if not self._closing:
                    self._writer.write(frame(body[:2], CLOSE))
                return None

    async def serve(self, *, late_seconds: float = 0.0, pongs: bool = True) -> None:
        """Answer heartbeats until the client disconnects: after a delay, or never."""
        answers = []
        while (message := await self.receive()) is not None:
            if message["type"] == "ping" and pongs:
                answers.append(asyncio.ensure_future(self._pong(late_seconds)))
        for answer in answers:
            answer.cancel()

    async def _pong(self, late_seconds: float) -> None:
        await asyncio.sleep(late_seconds)
        with contextlib.suppress(ConnectionError):
            if not self._silent:
                await self.say({"type": "pong"})

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self._reader.readexactly(2))
        mask = await self._reader.readexactly(4)
        body = await self._reader.readexactly(length)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))


Script = Callable[[Peer], Awaitable[None]]


class Server(threading.Thread):
    """`with Server() as server`; `server.script = ...` defines the behaviour for the next connections."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="odd server")
        self.script: Script = self.refuse_all
        self.peers: list[Peer] = []
        # A page of an earlier script may still connect while its tab closes. The server must refuse its path.
        self._scripts = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self.url = ""

    @staticmethod
    async def refuse_all(peer: Peer) -> None:
        """The script between two tests."""
        await peer.refuse()

    def __enter__(self) -> Self:
        self.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join()
        self._loop.close()

    def begin(self, script: Script) -> None:
        """Use this script for new connections, and abort the existing ones."""
        for peer in self.peers:
            self.do(peer.abort)
        self.script, self.peers = script, []
        self._scripts += 1

    @property
    def path(self) -> str:
        """The path of pages that are loaded from now on."""
        return f"/ws/{self._scripts}/"

    def do(self, act: Callable[[], Any]) -> None:
        """Call a function in the server's event loop."""

        async def run() -> None:
            result = act()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)

        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = head.split(" ", 2)[1]
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if headers.get("upgrade") == "websocket":
                key = next(line for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
                peer = Peer(len(self.peers), target, key.split(": ", 1)[1].encode(), (reader, writer))
                if urlsplit(target).path != self.path:
                    await self.refuse_all(peer)
                    return
                self.peers.append(peer)
                try:
                    await self.script(peer)
                    await peer.answered()
                finally:
                    peer.ended = True
            else:
                writer.write(_file(target, self.path))
                await writer.drain()
        writer.close()


def _file(target: str, socket: str) -> bytes:
    path = urlsplit(target).path
    if path.startswith("/tidewire/"):
        body, kind = (STATIC / path.removeprefix("/tidewire/")).read_bytes(), "text/javascript"
    else:
        body, kind = (PAGE.replace(b"PATH", socket.encode()) if path == "/" else b""), "text/html"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nCache-Control: no-store\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
