"""The target of a run: a running `make up`, or a stack of its own. Also creates the load users that it needs."""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploy.local.layout import LOOPBACK, ROOT, Layout, Ports
from deploy.local.ready import is_ready
from loadtest.result_directories import RESULTS

if TYPE_CHECKING:
    from tests.stack import Stack

# nginx allows two logins a second from one address.
LOCAL_LOGIN_RATE = 2.0
SMOKE_LOGIN_RATE = 8.0
CREATE_SECONDS = 120
CONNECT_SECONDS = 10.0
KEEP_UP_SECONDS = 0.2


class CannotRun(Exception):
    """There is no target to use; the message has the remedy."""


@dataclass(frozen=True)
class Target:
    """The target of a run. The services are the descendants of process `root`. Another product has no layout."""

    url: str
    login_rate: float
    root: int = 0
    layout: Layout | None = None


@contextlib.contextmanager
def running_stack() -> Iterator[Target]:
    layout = Layout.from_variables(os.environ)
    if not is_ready(f"{layout.url}/login/"):
        raise CannotRun(
            f"nothing answers at {layout.url}. Start it in another terminal with `make up` (PORT=... moves it, here"
            " and there), or use `make load-smoke`, which starts a stack of its own"
        )
    lock = layout.run / "up.lock"
    root = lock.read_text(encoding="utf-8").strip() if lock.exists() else ""
    yield Target(layout.url, LOCAL_LOGIN_RATE, int(root) if root.isdecimal() else 0, layout)


@contextlib.contextmanager
def other_product(url: str) -> Iterator[Target]:
    where = urlsplit(url)
    if where.scheme not in ("http", "https") or not where.hostname:
        raise CannotRun(f"--target {url} is not an address such as http://127.0.0.1:8000")
    try:
        address = where.hostname, where.port or (443 if where.scheme == "https" else 80)
        socket.create_connection(address, CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise CannotRun(f"nothing listens at --target {url}: {error}") from error
    yield Target(url.rstrip("/"), LOCAL_LOGIN_RATE)


@contextlib.contextmanager
def own_stack(name: str = "") -> Iterator[Target]:
    """Run a stack until the block ends. `name` is the MODULE:CLASS of a subclass of `tests.stack.Stack`."""
    from tests.stack import Stack, why_not  # noqa: PLC0415 - `make load` needs no stack of the tests

    try:
        kind = pkgutil.resolve_name(name) if name else Stack
    except (ImportError, AttributeError, ValueError) as error:
        raise CannotRun(f"--stack {name} is not MODULE:CLASS of a stack: {error}") from error
    if reason := why_not():
        raise CannotRun(reason)
    with tempfile.TemporaryDirectory(prefix="tidewire-load-") as directory:
        stack = kind(Path(directory) / "var", web=1, ws=2)
        stack.prepare()
        with stack, _kept_logs(stack.layout.log), _nodes_kept_up(stack):
            yield Target(stack.layout.url, SMOKE_LOGIN_RATE, os.getpid(), stack.layout)


@contextlib.contextmanager
def _nodes_kept_up(stack: Stack) -> Iterator[None]:
    """Start a node again if it has ended, as the supervisor of `make up` does."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(KEEP_UP_SECONDS):
            for node in stack.ws:
                if not node.runs:
                    stack.start(node.name)

    keeper = threading.Thread(target=watch, name="nodes-kept-up")
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


@contextlib.contextmanager
def _kept_logs(log: Path) -> Iterator[None]:
    """Keep the logs of the stack's processes, for the analysis of a failed run."""
    try:
        yield
    finally:
        shutil.copytree(log, ROOT / RESULTS / "smoke-logs", dirs_exist_ok=True)


@contextlib.contextmanager
def scraped(target: Target, workers: int) -> Iterator[Sequence[int]]:
    """Yield ports from which Prometheus can read the run's processes, and register them for that time.

    The Prometheus of another product cannot discover them, so there are none.
    """
    if target.layout is None:
        yield ()
        return
    ports = Ports.free(web=0, ws=workers).ws
    target.layout.load_targets.write_text(
        json.dumps([{"targets": [f"{LOOPBACK}:{port}" for port in ports]}]), encoding="utf-8"
    )
    try:
        yield ports
    finally:
        target.layout.load_targets.unlink()


def make_users(users: int, layout: Layout, sessions: Path | None) -> None:
    command = [sys.executable, "-m", "loadtest.create_users", str(users)]
    command += ["--sessions", str(sessions)] if sessions else []
    known = layout.environment()
    # The command needs both the stack's settings and the load test.
    environment = {**known, "PYTHONPATH": os.pathsep.join((known["PYTHONPATH"], str(ROOT)))}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=CREATE_SECONDS)  # noqa: S603 - our own
    if done.returncode:
        raise CannotRun("the load users could not be made; the reason stands above")
