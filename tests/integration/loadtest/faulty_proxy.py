"""A proxy in front of a product that plants faults between the product and the load test: nothing else is changed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.layout import LOOPBACK
from testkit.frame_parser import FrameParser

STREAM, LOGIN = "/ws/notifications/", "/login/"
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
CHUNK_BYTES = 65536
CLOSE_SECONDS = 0.2


@dataclass(kw_only=True)
class FaultyProxy:
    """Each fault is off by default. `drop_each` and `refuse_each` are intervals: one of so many."""

    upstream: tuple[str, int]
    page_seconds: float = 0.0
    login_seconds: float = 0.0
    deaf_each: int = 0
    drop_each: int = 0
    refuse_each: int = 0

    def __post_init__(self) -> None:
        self._clients: set[asyncio.Task[None]] = set()
        self._streams = self._deliveries = self._pages = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            # Only `close` cancels, and asyncio would print a task that ends so.
            return
        finally:
            writer.close()
            self._clients.discard(task)

    async def close(self) -> None:
        """End all connections."""
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        # A transport closes its socket in the next turn of the loop.
        await asyncio.sleep(CLOSE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode().partition("?")[0]
            is_socket = b"upgrade: websocket" in head.lower()
            if not is_socket and await self._is_refused(path):
                writer.write(BAD_GATEWAY)
            else:
                await self._pass_on(path, head, reader, writer, is_socket=is_socket)
            await writer.drain()

    async def _is_refused(self, path: str) -> bool:
        await asyncio.sleep(self.login_seconds if path == LOGIN else self.page_seconds)
        self._pages += path != LOGIN
        return path != LOGIN and bool(self.refuse_each) and self._pages % self.refuse_each == 0

    async def _pass_on(
        self, path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_socket: bool
    ) -> None:
        near, far = await asyncio.open_connection(*self.upstream)
        # A connection has one request, so that the end of an answer is the end of its connection.
        far.write(head if is_socket else head.replace(b"keep-alive", b"close"))
        to_product = asyncio.create_task(self._copy_until_the_client_leaves(reader, far))
        try:
            if is_socket and path == STREAM:
                await self._copy_stream(near, writer)
            else:
                await self._copy(near, writer)
        finally:
            to_product.cancel()
            far.close()

    async def _copy_until_the_client_leaves(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter) -> None:
        await self._copy(reader, far)
        far.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                writer.write(data)
                await writer.drain()

    async def _copy_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy the handshake, and the frames that are not dropped."""
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        self._streams += 1
        is_deaf = bool(self.deaf_each) and self._streams % self.deaf_each == 0
        frames = FrameParser()
        while data := await reader.read(CHUNK_BYTES):
            for opcode, body in frames.feed(data):
                if not is_deaf and not self._is_dropped(body):
                    writer.write(frame(opcode, body))
            await writer.drain()

    def _is_dropped(self, body: bytes) -> bool:
        if not self.drop_each or b'"notification.created"' not in body:
            return False
        self._deliveries += 1
        return self._deliveries % self.drop_each == self.drop_each // 2


def frame(opcode: int, body: bytes) -> bytes:
    size = bytes([len(body)]) if len(body) < 126 else b"\x7e" + len(body).to_bytes(2)
    return bytes([0x80 | opcode]) + size + body


@contextlib.contextmanager
def running(proxy: FaultyProxy, port: int, certificate: Path | None = None) -> Iterator[None]:
    """Serve on loopback until the block ends, with TLS if there is a certificate."""
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    is_serving, stop = threading.Event(), []

    async def serve() -> None:
        done = asyncio.Event()
        stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, done.set))
        server = await asyncio.start_server(proxy.serve, LOOPBACK, port, ssl=context, backlog=1000)
        is_serving.set()
        await done.wait()
        server.close()
        await proxy.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    is_serving.wait(10.0)
    try:
        yield
    finally:
        stop[0]()
        thread.join(10.0)


def expired_certificate(path: Path) -> Path:
    """Write a certificate for loopback that expired yesterday and is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    addresses = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    )
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - dt.timedelta(days=9))
        .not_valid_after(now - dt.timedelta(days=1))
        .add_extension(addresses, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path
