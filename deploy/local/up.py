"""`make up`: prepares a stack, starts it under supervisord, waits until all of it answers, and stops all of it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from deploy.local.config import write_configuration
from deploy.local.layout import ROOT, Layout, LayoutError
from deploy.local.processes import Process, processes, tie_to_parent
from deploy.local.ready import wait_until_ready
from deploy.local.supervisor import SupervisorLog, configuration
from deploy.local.system import not_ours, tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PREPARE_SECONDS = 180.0
# Two idle cores need less than 10, and a very busy machine 100. A process that ends is noticed at once, so this limit
# is for a process that hangs.
READY_SECONDS = 240.0
# A process that ended this often before all were ready will not become ready. supervisord may report it later, because
# it counts a process that ran for a second as started.
STARTS = 3
# Longer than all groups together may take to stop, one after another.
STOP_SECONDS = 75.0
PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """A signal arrived before there was a process to stop."""


class UpError(Exception):
    """The stack cannot start; the message has the reason."""


class StopSignal:
    """Ctrl-C, SIGTERM or SIGHUP. Interrupts at once, until there are processes that must be stopped in order."""

    def __init__(self) -> None:
        self.came = False
        self.interrupts = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        # Only the first signal counts: a second Ctrl-C must not interrupt the stopping of processes.
        first, self.came = not self.came, True
        if first and self.interrupts:
            raise Stopped


def main() -> int:
    started = time.monotonic()
    stop = StopSignal()
    try:
        _end_with_parent()
        layout = Layout.from_variables(os.environ)
        layout.make_directories()
        with _only_one(layout):
            _check_ports(layout)
            _prepare(layout)
            stop.interrupts = False
            return _serve(layout, stop, started)
    except Stopped:
        return 0
    except PermissionError as error:
        _say(f"cannot start: {not_ours(error)}")
        return 1
    except (UpError, LayoutError, OSError) as error:
        _say(f"cannot start: {error}")
        return 1


def _say(text: str) -> None:
    # After SIGHUP there is no terminal to write to, but the remaining processes must still be stopped.
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _end_with_parent() -> None:
    """End when make ends, because then Ctrl-C can no longer arrive here."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise Stopped


@contextlib.contextmanager
def _only_one(layout: Layout) -> Iterator[None]:
    """Allow one stack in a directory: two would share a database, and overwrite each other's configuration."""
    with (layout.run / "up.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise UpError(f"it already runs here, as process {lock.read() or 'unknown'}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _check_ports(layout: Layout) -> None:
    if taken := layout.ports.taken():
        raise UpError("\n  ".join(("", *taken)))


def _prepare(layout: Layout) -> None:
    _say("preparing the database, the demo data and the static files ...")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local.prepare"],
            cwd=ROOT,
            env=layout.environment(),
            check=False,
            timeout=PREPARE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UpError(f"the database and the static files were not ready after {PREPARE_SECONDS:.0f} s") from None
    if done.returncode:
        raise UpError("the database or the static files could not be prepared; the reason stands above")
    write_configuration(layout)


def _serve(layout: Layout, stop: StopSignal, started: float) -> int:
    to_start = processes(layout)
    log = SupervisorLog(layout.log / "supervisord.log")
    supervisord = _start_supervisord(layout, to_start)
    try:
        if not _wait_for_all(layout, to_start, supervisord, log, stop):
            return 0 if stop.came else 1
        _say(_welcome(layout, time.monotonic() - started))
        while not stop.came and supervisord.poll() is None:
            for name, fate in log.news():
                _say(f"{name} {fate}, see {layout.log / name}.log")
            time.sleep(0.2)
        if not stop.came:
            _say(f"the supervisor ended by itself, see {layout.log / 'supervisord.log'}")
        return 0 if stop.came else 1
    finally:
        _stop_supervisord(supervisord)


def _start_supervisord(layout: Layout, to_start: list[Process]) -> subprocess.Popen[bytes]:
    path = layout.run / "supervisord.conf"
    path.write_text(configuration(layout, to_start, root=os.geteuid() == 0), encoding="utf-8")
    _say(f"starting {', '.join(each.name for each in to_start)} ...")
    return subprocess.Popen(
        [*tie_to_parent(), sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
        cwd=ROOT,
        env=layout.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # Only this process may receive the terminal's Ctrl-C. It then stops the others in their order.
        start_new_session=True,
    )


def _wait_for_all(
    layout: Layout, to_start: list[Process], supervisord: subprocess.Popen[bytes], log: SupervisorLog, stop: StopSignal
) -> bool:
    ends: Counter[str] = Counter()

    def hopeless() -> list[str]:
        return [name for name, times in ends.items() if times >= STARTS]

    def give_up() -> bool:
        ends.update(name for name, _fate in log.news())
        return bool(hopeless()) or stop.came or supervisord.poll() is not None

    started = time.monotonic()
    late = wait_until_ready(
        {each.name: each.ready for each in to_start},
        timeout_seconds=READY_SECONDS,
        on_ready=lambda name: _say(f"  {name:<12} ready after {time.monotonic() - started:.1f} s"),
        give_up=give_up,
    )
    # Processes that ended are the cause; the others only waited for them.
    failed = hopeless() or late
    if stop.came or not failed:
        return not failed
    for name in failed:
        path = layout.log / f"{name}.log"
        why = "did not start" if name in ends else f"was not ready after {READY_SECONDS:.0f} s"
        _say(f"{name} {why}; the end of {path}:\n{tail(path, lines=20) if path.exists() else '(none)'}")
    return False


def _stop_supervisord(supervisord: subprocess.Popen[bytes]) -> None:
    _say("stopping, Redis last ...")
    started = time.monotonic()
    supervisord.terminate()
    try:
        supervisord.wait(STOP_SECONDS)
        _say(f"stopped in {time.monotonic() - started:.1f} s")
    except subprocess.TimeoutExpired:
        # Its processes are tied to it, and end with it.
        supervisord.kill()
        supervisord.wait(5)
        _say(f"killed after {STOP_SECONDS:.0f} s")


def _welcome(layout: Layout, seconds: float) -> str:
    ports = layout.ports
    lines = [
        "",
        f"tidewire runs: {layout.url}   ({len(ports.web)} web, {len(ports.ws)} ws, up in {seconds:.1f} s)",
        "  log in as ada, bob or eve (open two browsers), or as admin; the password of each is: demo",
        f"  logs: {layout.log}/",
        "  Ctrl-C stops everything; the data stays",
    ]
    if any(each.name == "prometheus" for each in processes(layout)):
        lines.insert(3, f"  Prometheus: http://localhost:{ports.prometheus}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
