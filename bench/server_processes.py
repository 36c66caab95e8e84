"""Starts the processes under test on a core of their own, with their output in a file, and ends them in any case."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import resource
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence

from bench.paths import LOGS, LOOPBACK, ROOT

START_SECONDS = 60.0
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02


class BenchError(Exception):
    """A requirement of the bench is missing or failed."""


@dataclasses.dataclass(frozen=True)
class Cores:
    """The core of the server, and the core that generator, publisher and Redis share. None means any core."""

    server: int | None = None
    others: int | None = None

    @classmethod
    def of_this_machine(cls) -> Cores:
        """Return the first two cores that this process may use, or none if there is only one, or no taskset."""
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2 or not shutil.which("taskset"):
            return cls()
        return cls(usable[0], usable[1])


def on_core(core: int | None, command: Sequence[str]) -> list[str]:
    return list(command) if core is None else ["taskset", "-c", str(core), *command]


def raise_open_files(wanted: int) -> int:
    """Raise the limit of open files as far as permitted, and return the present limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return wanted if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


@contextlib.asynccontextmanager
async def serving(
    name: str, command: Sequence[str], *, port: int, env: Mapping[str, str], core: int | None
) -> AsyncIterator[int]:
    """Run a server until the block ends, and yield its process ID when it is ready on `port`.

    Raises `BenchError` with the end of its output if it does not start.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *on_core(core, command),
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if not await _listens(process, port):
            last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            raise BenchError(f"{name} did not listen on {port} within {START_SECONDS:.0f} s:\n{last}")
        yield process.pid
    finally:
        await _end(process)


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    loop = asyncio.get_running_loop()
    until = loop.time() + START_SECONDS
    while loop.time() < until and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            return True
    return False


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a server. A long farewell to thousands of clients is not awaited, because it is not measured."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    # The process group is the server's own, so this also ends processes that it left behind.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
