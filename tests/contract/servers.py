"""Real ASGI servers that run `tests.contract.contract_application`, and a client that can end a socket in every way."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.layout import LOOPBACK, ROOT, free_port
from testkit.frame_parser import CLOSE, TEXT
from testkit.websocket_client import client_frame, handshake

APPLICATION = "tests.contract.contract_application:application"
COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "tidewire": lambda port: ["-m", "tidewire", APPLICATION, "-b", LOOPBACK, "-p", str(port), "--ping-interval", "1"],
    "daphne": lambda port: ["-m", "daphne", APPLICATION, "-b", LOOPBACK, "-p", str(port)],
    "uvicorn": lambda port: ["-m", "uvicorn", APPLICATION, "--no-access-log", "--host", LOOPBACK, "--port", str(port)],
}
READY_SECONDS = 30.0
TIMEOUT_SECONDS = 8.0


class Server:
    """A server process, and the state that its application reports."""

    def __init__(self, name: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.port = port
        self.process = process
        self.log = log
        self.clients: list[Client] = []

    def state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/state", timeout=5) as answer:
            return dict(json.loads(answer.read()))

    def until(self, matches: Callable[[dict[str, Any]], bool], seconds: float = TIMEOUT_SECONDS) -> dict[str, Any]:
        """Return the state when it matches, or the last one after the timeout."""
        end = time.monotonic() + seconds
        while not matches(state := self.state()) and time.monotonic() < end:
            time.sleep(0.02)
        return state

    def open(self, path: str, query: str = "") -> "Client":
        client = Client(self.port, f"/{path}/{query}")
        self.clients.append(client)
        return client

    def hang_up(self) -> None:
        """Close the sockets that the last test left open."""
        for client in self.clients:
            client.socket.close()
        self.clients.clear()


class Client:
    """A browser's side of one socket, at the level of bytes."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.socket()
        # Small, so that the server soon detects a client that does not read.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect((LOOPBACK, port))
        self.socket.sendall(handshake(f"{LOOPBACK}:{port}", path, "a=b"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.socket.recv(1)
        self.status = int(answer.split()[1])

    def say(self, text: str) -> None:
        self.socket.sendall(client_frame(TEXT, text.encode()))

    def frame(self, opcode: int, body: bytes) -> None:
        self.socket.sendall(client_frame(opcode, body))

    def close(self, code: int | None = None, reason: str = "") -> None:
        """Send a close frame like `WebSocket.close(code, reason)`: without arguments the frame has no body."""
        self.frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())

    def reset(self) -> None:
        """Reset the TCP connection, like a host that has lost power and is back."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def vanish(self) -> None:
        """End the TCP connection without a close frame, like a killed browser."""
        self.socket.close()

    def ended(self, seconds: float = TIMEOUT_SECONDS) -> bool:
        """Return whether the server ends the TCP connection in this time."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True


@contextlib.contextmanager
def running(name: str, directory: Path, **environment: str) -> Iterator[Server]:
    if name == "uvicorn" and importlib.util.find_spec("uvicorn") is None:
        pytest.skip("needs uvicorn: see `make test`")
    port = free_port()
    path = directory / f"{name}.log"
    env = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *COMMANDS[name](port)],
            cwd=ROOT,
            env=env | {"PYTHONPATH": f"{ROOT}/src:{ROOT}/services:{ROOT}"} | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(name, port, process, path)
    try:
        end = time.monotonic() + READY_SECONDS
        while True:
            try:
                server.state()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(path.read_text()) from None
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
