"""A server under measurement: the command in a process group of its own, its CPU time and its memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import psutil

from tidewire.bench.errors import CannotMeasure

HOST = "127.0.0.1"
# Replaced by the port in a command.
PORT = "{port}"
START_SECONDS = 60.0
# Its sockets are closed before, so it has nothing to drain.
STOP_SECONDS = 10.0
_POLL_SECONDS = 0.05
_Figure = TypeVar("_Figure", int, float)


class ServerProcess:
    """A process and its children, such as the workers of Gunicorn."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        self._process = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        return self._sum(lambda process: float(sum(process.cpu_times()[:2])), 0.0)

    def memory_bytes(self) -> int:
        return self._sum(lambda process: int(process.memory_info().rss), 0)

    def _sum(self, figure: Callable[[psutil.Process], _Figure], total: _Figure) -> _Figure:
        for process in (self._process, *self._process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += figure(process)
        return total


@contextlib.asynccontextmanager
async def serving(command: str) -> AsyncIterator[ServerProcess]:
    """Run a command until the block ends. Raises `CannotMeasure` with its last line if it does not start."""
    port = _free_port()
    with tempfile.TemporaryFile() as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(command.replace(PORT, str(port))),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C must not end it: its sockets are closed first.
                start_new_session=True,
            )
        except OSError as error:
            raise CannotMeasure(f"the server did not start: {error}") from None
        try:
            if not await _listens(process, port):
                output.seek(0)
                reason = _last_line(output.read()) or f"it did not listen on its port within {START_SECONDS:.0f} s"
                raise CannotMeasure(f"the server did not start: {reason} (command: {command})")
            yield ServerProcess(process.pid, port)
        finally:
            await _end(process)


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines()]
    last = next((line for line in reversed(lines) if line), "")
    return last.removeprefix("tidewire did not start: ")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    end = time.monotonic() + START_SECONDS
    while process.returncode is None and time.monotonic() < end:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return True
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process and those that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
