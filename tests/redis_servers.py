"""Redis servers that can lose writes, and an address that can be moved between them, for tests of faults."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import redis

from deploy.local.layout import free_port

START_SECONDS = 20.0
SHIM = Path(__file__).with_name("clock_shim.c")


def why_not() -> str:
    """Return the reason if this machine has no Redis, else an empty string."""
    return "" if shutil.which("redis-server") else "there is no redis-server on this machine"


def why_no_clock() -> str:
    """Return the reason if this machine cannot run a Redis with another clock, else an empty string."""
    return why_not() or (
        "" if shutil.which("cc") and sys.platform == "linux" else "there is no C compiler, or no Linux"
    )


class Server:
    """A redis-server with its own directory. `start` after `kill` loads the data that is on disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=5)

    def start(self, *, clock_seconds: float | None = None) -> None:
        """Start the server. `clock_seconds` sets its clock ahead of this machine's, or behind it if negative."""
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        command += ["--save", "", "--repl-diskless-sync-delay", "0", *self._options]
        env = dict(os.environ)
        if clock_seconds is not None:
            self.step_clock(clock_seconds)
            shim = self.directory / "clock_shim.so"
            subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(SHIM)], check=True)
            env |= {"LD_PRELOAD": str(shim), "CLOCK_OFFSET_FILE": str(self.directory / "clock")}
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        self.until(lambda: bool(self.client.ping()))

    def step_clock(self, seconds: float) -> None:
        """Set the server's clock this far ahead of this machine's clock."""
        written = self.directory / "clock.new"
        written.write_text(f"{seconds:+f}\n")
        written.replace(self.directory / "clock")

    def kill(self) -> None:
        """Kill the server, as a loss of power would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def follow(self, primary: Server) -> None:
        """Become a replica of `primary`, and wait until both have the same keys."""
        self.client.replicaof("127.0.0.1", str(primary.port))
        self.until(lambda: self.client.info("replication")["master_link_status"] == "up")
        self.until(lambda: self.client.dbsize() == primary.client.dbsize())

    def has_all_of(self, primary: Server) -> None:
        """Wait until this replica has received all writes of its primary so far."""
        end = primary.client.info("replication")["master_repl_offset"]
        self.until(lambda: self.client.info("replication")["slave_repl_offset"] >= end)

    def lag(self) -> None:
        """Remain a replica, but receive no further writes."""
        self.client.replicaof("127.0.0.1", str(free_port()))

    def promote(self) -> None:
        self.client.replicaof("NO", "ONE")

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(redis.RedisError, OSError, KeyError):
                if true():
                    return
            if time.monotonic() > end:
                raise TimeoutError(f"not within {START_SECONDS:.0f} s: see {self.directory}/log")
            time.sleep(0.01)


class Address:
    """An address like a host name, a virtual IP or a proxy: new connections lead to `port`, open ones are kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        # Called with each request. If it returns True, the request is forwarded, but its connection closes without a
        # reply.
        self.loses: Callable[[bytes], bool] = lambda _request: False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.own_port = int(self._listening.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.own_port}/0"
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listening.close()
        self.abort()

    def abort(self) -> None:
        """Close all connections."""
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            lost = threading.Event()
            for source, target, is_request in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(source, target, lost, is_request), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, lost: threading.Event, is_request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request:
                    if self.loses(data):
                        lost.set()
                    target.sendall(data)
                elif lost.is_set():
                    break
                else:
                    target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            self._open.discard(each)
            each.close()
