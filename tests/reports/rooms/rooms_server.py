"""Runs the rooms application on tidewire's own server, with a Redis of the test."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import connect

from deploy.local.layout import free_port

ROOT = Path(__file__).parents[3]
READY_SECONDS = 60.0
STOP_SECONDS = 20.0


class RoomsServer:
    """A node. `with` starts and stops it; `log` has its output."""

    def __init__(self, redis_url: str, log: Path, *, certificate: Path | None = None) -> None:
        self.port, self.admin_port = free_port(), free_port()
        self._redis_url = redis_url
        self._log = log
        self._certificate = certificate
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO_")}
        environment |= {"ROOMS_REDIS_URL": self._redis_url, "ROOMS_ADMIN_PORT": str(self.admin_port)}
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
        command = [sys.executable, "-m", "tidewire", "tests.reports.rooms.rooms_application:application"]
        address = ["-b", "127.0.0.1", "-p", str(self.port)]
        if self._certificate is not None:
            files = f"privateKey={self._certificate}:certKey={self._certificate}"
            address = ["-e", f"ssl:{self.port}:interface=127.0.0.1:{files}"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *address],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.until(lambda: self.admin("/readyz") is not None, "the node is ready")

    def stop(self) -> int:
        """Send SIGTERM, which drains the node, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def admin(self, path: str) -> str | None:
        """Return a page of the admin port, or None if there is no response."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError as error:
            error.close()
            return None
        except OSError:
            return None

    def connect(self, path: str, **options: Any) -> connect:
        """Open a socket, with `async with`."""
        return connect(f"ws://127.0.0.1:{self.port}{path}", **{"proxy": None, "max_size": None, **options})

    def rss_bytes(self) -> int:
        """Return the resident memory of the node."""
        line = next(
            line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS")
        )
        return int(line.split()[1]) * 1024

    def until(self, true: Callable[[], bool], expectation: str, *, seconds: float = READY_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert self.process is not None
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"not true within {seconds} s: {expectation}\n{self._log.read_text()[-3000:]}")
            time.sleep(0.02)
