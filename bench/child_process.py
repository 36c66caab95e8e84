"""A child process that receives lines and answers in JSON lines. Each wait for an answer must have a timeout."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bench.paths import LOGS, ROOT
from bench.server_processes import BenchError, on_core

Answer = dict[str, Any]


class ChildProcess:
    """A child. `send` sends a line, `receive` waits for the next answer."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process

    async def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()

    async def receive(self, seconds: float) -> Answer:
        """Return the next answer. Raises `BenchError` if the child ends, or is silent for this long."""
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        except TimeoutError:
            raise BenchError(f"{self.name} did not answer within {seconds:.0f} s") from None
        if not line:
            raise BenchError(f"{self.name} ended; see {LOGS / self.name}.log")
        answer: Answer = json.loads(line)
        return answer

    async def ask(self, line: str, *, seconds: float) -> Answer:
        await self.send(line)
        return await self.receive(seconds)


@contextlib.asynccontextmanager
async def child_process(
    name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, core: int | None = None
) -> AsyncIterator[ChildProcess]:
    """Run a child until the block ends."""
    LOGS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *on_core(core, command),
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield ChildProcess(name, process)
    finally:
        # Not `process.kill`, which would reap a child that has just ended, without asyncio's knowledge.
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
