"""Builds and controls the load generator: N clients that count exactly the events that they receive."""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from bench.child_process import Answer, ChildProcess, child_process
from bench.paths import HERE, LOOPBACK, VAR
from bench.server_processes import BenchError
from deploy.local.system import find_program

SOURCE = HERE / "client.c"
PROGRAM = VAR / "client"
COMPILE_SECONDS = 120
# The child has its own deadlines; this is added to them for a child that hangs.
GRACE_SECONDS = 20.0


def build() -> Path:
    """Compile client.c if it is newer than the program. Raises `BenchError` if there is no compiler."""
    if PROGRAM.exists() and PROGRAM.stat().st_mtime >= SOURCE.stat().st_mtime:
        return PROGRAM
    compiler = find_program("cc", "gcc", "clang")
    if compiler is None:
        raise BenchError("the load generator is C, and there is no C compiler: apt-get install gcc libc6-dev")
    VAR.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [compiler, "-O2", "-Wall", "-o", str(PROGRAM), str(SOURCE)],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_SECONDS,
    )
    if done.returncode:
        raise BenchError(f"{compiler} could not build {SOURCE}:\n{done.stderr[-2000:]}")
    return PROGRAM


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """The clients and the way they connect. `concurrency` is the number of concurrent handshakes; 0 means all."""

    port: int
    path: str
    clients: int
    headers: Sequence[str] = ()
    cookies: Path | None = None
    concurrency: int = 64
    connect_seconds: float = 120.0
    stall: int = 0
    stall_bytes: int = 0
    watch: str | None = None
    socketio: bool = False
    # The token with which clients of Centrifugo connect, or an empty one.
    centrifugo: str | None = None
    spin: bool = True

    def arguments(self) -> list[str]:
        values = {
            "--host": LOOPBACK,
            "--port": self.port,
            "--path": self.path,
            "--clients": self.clients,
            "--concurrency": self.concurrency,
            "--connect-seconds": self.connect_seconds,
            "--stall": self.stall,
            "--stall-bytes": self.stall_bytes,
            "--cookies": self.cookies,
            "--watch": self.watch,
            "--centrifugo": self.centrifugo,
        }
        words = [word for name, value in values.items() if value is not None for word in (name, str(value))]
        words += [word for header in self.headers for word in ("--header", header)]
        return [*words, *["--socketio"] * self.socketio, *["--spin"] * self.spin]


class Generator:
    """The running generator."""

    def __init__(self, child: ChildProcess, load: Load) -> None:
        self._child = child
        self._load = load
        self._expected_seconds = 0.0
        self.pid = child.pid

    async def connected(self) -> Answer:
        """Wait until every handshake has ended, successfully or not."""
        return await self._child.receive(self._load.connect_seconds + GRACE_SECONDS)

    async def expect(self, events: int, *, seconds: float) -> None:
        """Announce the number of events that are due since the start; `arrived` waits for them."""
        await self._child.send(f"wait {events} {seconds}")
        self._expected_seconds = seconds

    async def arrived(self) -> Answer:
        """Wait until every client has all expected events, or until the time for them is over."""
        return await self._child.receive(self._expected_seconds + GRACE_SECONDS)

    async def value(self, number: int, *, seconds: float) -> Answer:
        """Wait until this is the last value that each client has received."""
        return await self._child.ask(f"value {number} {seconds}", seconds=seconds + GRACE_SECONDS)

    async def reset(self) -> None:
        """Discard the latencies of a warm-up."""
        await self._child.ask("reset", seconds=GRACE_SECONDS)

    async def report(self) -> Answer:
        return await self._child.ask("report", seconds=GRACE_SECONDS)

    async def stop(self) -> Answer:
        """Close all connections, and return the counts."""
        return await self._child.ask("stop", seconds=GRACE_SECONDS)


@contextlib.asynccontextmanager
async def generating(load: Load, *, core: int | None = None) -> AsyncIterator[Generator]:
    """Run the generator until the block ends."""
    async with child_process("client", [str(build()), *load.arguments()], core=core) as child:
        yield Generator(child, load)
