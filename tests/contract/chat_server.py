"""A server process for the chat of a stranger's project, and clients of its sockets."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from deploy.local.layout import LOOPBACK, ROOT, free_port
from tests.http_client import fetch

APPLICATION = "tests.contract.chat.asgi:application"
READY_SECONDS = 30.0
EXIT_SECONDS = 40.0


class ChatServer:
    """A process that serves the chat. The environment chooses the channel layer, and settings for one test."""

    def __init__(
        self,
        directory: Path,
        layer: str,
        application: str,
        environment: dict[str, str],
        options: tuple[str, ...] = (),
    ) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.record = directory / "record"
        self.log = directory / "log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TIDEWIRE_", "DJANGO_"))}
        self.environment = kept | {
            "PYTHONPATH": f"{ROOT}/src:{ROOT}",
            "CHAT_LAYER": layer,
            "CHAT_RECORD": str(self.record),
            **environment,
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tidewire", application),
                    *("-b", LOOPBACK, "-p", str(self.port), "--admin-port", str(self.admin_port)),
                    *options,
                ],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        end = time.monotonic() + READY_SECONDS
        while True:
            try:
                self.page("/")
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(self.log.read_text()) from None
                time.sleep(0.05)

    def page(self, path: str) -> Any:
        return fetch(f"http://{LOOPBACK}:{self.port}{path}")

    def metrics(self) -> str:
        return str(fetch(f"http://{LOOPBACK}:{self.admin_port}/metrics").text)

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.page("/state/").text))

    def socket(self, path: str, query: str = "") -> connect:
        here = f"{LOOPBACK}:{self.port}"
        return connect(f"ws://{here}/ws/{path}/{query}", origin=f"http://{here}", proxy=None)

    @contextlib.asynccontextmanager
    async def sockets(self, *paths: str) -> AsyncIterator[list[ClientConnection]]:
        """Open sockets in this order, and close them at the end."""
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.socket(path)) for path in paths]

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(EXIT_SECONDS)

    def memory_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def chat_server(
    directory: Path,
    layer: str = "memory",
    *,
    application: str = APPLICATION,
    options: tuple[str, ...] = (),
    **environment: str,
) -> Iterator[ChatServer]:
    """Run the server until the block ends."""
    server = ChatServer(directory, layer, application, environment, options)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def say(text: str, **more: Any) -> str:
    """Return the chat's own message."""
    return json.dumps({"message": text, **more})
