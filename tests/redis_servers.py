"""Redis processes that lose writes, and one address in front of them that may lead to another: for tests of faults."""

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
    """Why there is no Redis for tests; empty: there is."""
    return "" if shutil.which("redis-server") else "there is no redis-server on this machine"


def why_no_clock() -> str:
    """Why there is no Redis with a clock of its own; empty: there is."""
    return why_not() or (
        "" if shutil.which("cc") and sys.platform == "linux" else "there is no C compiler, or no Linux"
    )


class Server:
    """A redis-server with a directory of its own. `start` again after `kill`: with what is on its disk."""

    def __init__(self, directory: Path, *options: str) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(port=self.port, decode_responses=True, socket_timeout=5)

    def start(self, *, clock_seconds: float | None = None) -> None:
        """Start, with a clock that is ahead by so many seconds (behind: negative) where that is given."""
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
        """Set the clock of the host to so much ahead of this machine's."""
        written = self.directory / "clock.new"
        written.write_text(f"{seconds:+f}\n")
        written.replace(self.directory / "clock")

    def kill(self) -> None:
        """As a machine that loses its power."""
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
        """Become its replica, and have all that it has."""
        self.client.replicaof("127.0.0.1", str(primary.port))
        self.until(lambda: self.client.info("replication")["master_link_status"] == "up")
        self.until(lambda: self.client.dbsize() == primary.client.dbsize())

    def has_all_of(self, primary: Server) -> None:
        """Wait until this replica has received every write of its primary so far."""
        end = primary.client.info("replication")["master_repl_offset"]
        self.until(lambda: self.client.info("replication")["slave_repl_offset"] >= end)

    def lag(self) -> None:
        """Stay a replica, and get nothing more."""
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
    """One address, as a name, a virtual address or a proxy is: new connections lead to `port`, old ones stay."""

    def __init__(self, port: int) -> None:
        self.port = port
        # Called with each request; True: it is passed on, and its reply is lost with the connection.
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
        self.cut()

    def cut(self) -> None:
        """End every connection."""
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
