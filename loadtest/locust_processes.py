"""Starts Locust for a run: one process, or a master with workers on loopback. Independent of stacks and users."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.local.layout import LOOPBACK, ROOT, free_port

# A process with sockets of `websocket-client` can follow this many beside the services on the same machine.
USERS_PER_PROCESS = 300
STOP_SECONDS = 10.0
LOCUST = (sys.executable, "-m", "locust")
LOCUSTFILE = ROOT / "loadtest" / "locustfile.py"


def workers_for(users: int, *, cores: int, wanted: int = 0) -> int:
    """Return the number of processes: as requested, or as many as the users need, at most the number of cores."""
    return wanted or max(1, min(cores, math.ceil(users / USERS_PER_PROCESS)))


def run(
    options: Sequence[str],
    directory: Path,
    *,
    workers: int,
    timeout_seconds: float | None,
    metrics_ports: Sequence[int] = (),
    locustfile: Path = LOCUSTFILE,
) -> int:
    """Run Locust and return its exit code. `options` are for every process; output goes into the directory.

    `metrics_ports` has a port for each process that has users, from which Prometheus reads.
    """
    metrics: list[tuple[str, ...]] = [("--metrics", f"{LOOPBACK}:{port}") for port in metrics_ports] or [()] * workers
    locust = (*LOCUST, "-f", str(locustfile.resolve()))
    own = (
        *("--headless", "--only-summary", "--exit-code-on-error", "0"),
        *("--csv", str(directory / "locust"), "--html", str(directory / "locust.html")),
        *("--logfile", str(directory / "locust.log")),
    )
    if workers == 1:
        with _started([*locust, *own, *metrics[0], *options], directory / "stdout.log") as process:
            return process.wait(timeout_seconds)
    port = str(free_port())
    expect = ("--expect-workers", str(workers))
    master = ("--master", "--master-bind-host", LOOPBACK, "--master-bind-port", port)
    worker = ("--worker", "--master-host", LOOPBACK, "--master-port", port)
    with contextlib.ExitStack() as running:
        process = running.enter_context(_started([*locust, *own, *master, *expect, *options], directory / "stdout.log"))
        for n in range(1, workers + 1):
            log = ("--logfile", str(directory / f"worker-{n}.log"))
            output = directory / f"worker-{n}-stdout.log"
            command = [*locust, *worker, *expect, *log, *metrics[n - 1], *options]
            started = running.enter_context(_started(command, output))
            # The process ID can be used to end a worker in mid-run, as a test of the report.
            (directory / f"worker-{n}.pid").write_text(f"{started.pid}\n", encoding="utf-8")
        return process.wait(timeout_seconds)


@contextlib.contextmanager
def _started(command: Sequence[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that must not outlive the run, however the run ends."""
    # The clients use the library's table of close codes.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        # The report has the command of the person, not that of each process.
        "LOADTEST_COMMAND": shlex.join(["python", "-m", "loadtest", *sys.argv[1:]]),
    }
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own
    try:
        yield process
    finally:
        until = time.monotonic() + STOP_SECONDS
        if process.poll() is None:
            process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()
