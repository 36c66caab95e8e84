"""`make load` and `make load-smoke`: makes the users, starts Locust, says how it went. Measures nothing itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.local.layout import ROOT, Layout, LayoutError
from deploy.local.ready import is_ready
from loadtest import compare, generators
from loadtest.generators import workers_for
from loadtest.shapes import SHAPES

if TYPE_CHECKING:
    from tests.stack import Stack

RESULTS = ROOT / "var" / "loadtest"
# What nginx lets one address do: two logins a second, and a thousand sockets, of which a user has 3.4 on average.
LOCAL_LOGIN_RATE = 2.0
LOCAL_MOST_USERS = 290
SMOKE_LOGIN_RATE = 8.0
PEOPLE_SECONDS = 120
# Ramp and settling have bounds of their own; this is for a Locust that hangs.
HANG_SECONDS = 600.0
KEEP_UP_SECONDS = 0.2
# What a search that is not told its steps takes: see locustfile.py.
DEFAULT_STEPS = 10


class CannotRun(Exception):
    """There is nothing to run against, and this says what to do."""


@dataclass(frozen=True)
class Target:
    """What a run is against. `root` is the process whose descendants are the services."""

    url: str
    environment: Mapping[str, str]
    root: int
    login_rate: float


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="against a stack of its own, without nginx's limits")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all users are held")
    parser.add_argument("--plant", default="", help="drop, double, swap, delay or starve: the run must find it")
    parser.add_argument("--objectives", type=Path, default=None)
    parser.add_argument("--sockets-at", default="", help="ws:// or wss:// addresses of nodes, in place of the page's")
    parser.add_argument("--ca", default="", help="file of the authority that signed the stack's certificate")
    parser.add_argument("--workers", type=int, default=0, help="so many processes make the load; 0: as many as needed")
    parser.add_argument("--shape", choices=SHAPES, default="ramp", help="how the run goes; see docs/load-testing.md")
    parser.add_argument("--step-users", type=int, default=0, help="of --shape steps: so many more users each time")
    parser.add_argument("--node-command", default="", help="ends ws node {n} and returns once it is back")
    parser.add_argument("--nodes", type=int, default=1, help="how many nodes that command knows")
    options = parser.parse_args(arguments)
    try:
        with _stack(options) as target:
            # Workers number their users apart, and not each has as many.
            _make_people(options.users + (os.cpu_count() or 1) + options.workers, target)
            return _run(options, target)
    except (CannotRun, LayoutError) as error:
        sys.stderr.write(f"cannot run the load test: {error}\n")
        return 2


def _compare(arguments: Sequence[str]) -> int:
    try:
        sys.stdout.write(f"comparison: {compare.main(arguments)}\n")
    except compare.CompareError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _stack(options: argparse.Namespace) -> contextlib.AbstractContextManager[Target]:
    if options.smoke:
        return _own_stack()
    if options.users > LOCAL_MOST_USERS:
        sys.stdout.write(
            f"USERS={options.users}: nginx gives one address 1,000 sockets, enough for {LOCAL_MOST_USERS} users of a"
            " running `make up`; this run gets a stack of its own, without those limits\n"
        )
        return _own_stack()
    return _running_stack()


@contextlib.contextmanager
def _running_stack() -> Iterator[Target]:
    layout = Layout.from_variables(os.environ)
    if not is_ready(f"{layout.url}/login/"):
        raise CannotRun(
            f"nothing answers at {layout.url}. Start it in another terminal with `make up` (PORT=... moves it, here"
            " and there), or use `make load-smoke`, which starts a stack of its own"
        )
    lock = layout.run / "up.lock"
    root = lock.read_text(encoding="utf-8").strip() if lock.exists() else ""
    yield Target(layout.url, layout.environment(), int(root) if root.isdecimal() else 0, LOCAL_LOGIN_RATE)


@contextlib.contextmanager
def _own_stack() -> Iterator[Target]:
    from tests.stack import Stack, why_not  # noqa: PLC0415 - `make load` needs no stack of the tests'

    if reason := why_not():
        raise CannotRun(reason)
    with tempfile.TemporaryDirectory(prefix="tidewire-load-") as directory:
        stack = Stack(Path(directory) / "var", web=1, ws=2)
        stack.prepare()
        with stack, _kept_logs(stack.layout.log), _nodes_kept_up(stack):
            yield Target(stack.url, stack.layout.environment(), os.getpid(), SMOKE_LOGIN_RATE)


@contextlib.contextmanager
def _nodes_kept_up(stack: Stack) -> Iterator[None]:
    """What a supervisor does for `make up`: a node that has ended is started again."""
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
    """What the stack's processes said, for whoever looks into a run that failed."""
    try:
        yield
    finally:
        shutil.copytree(log, RESULTS / "smoke-logs", dirs_exist_ok=True)


def _make_people(users: int, target: Target) -> None:
    command = [sys.executable, "-m", "loadtest.people", str(users)]
    environment = {**target.environment, "PYTHONPATH": os.pathsep.join((target.environment["PYTHONPATH"], str(ROOT)))}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=PEOPLE_SECONDS)  # noqa: S603 - our own
    if done.returncode:
        raise CannotRun("the load users could not be made; the reason stands above")


def _run(options: argparse.Namespace, target: Target) -> int:
    directory = RESULTS / time.strftime("%Y-%m-%d-%H%M%S")
    directory.mkdir(parents=True)
    holds = max(1, options.users // options.step_users if options.step_users else DEFAULT_STEPS)
    patience = options.seconds * (holds if options.shape == "steps" else 1) + 2.0 * options.users + HANG_SECONDS
    workers = workers_for(options.users, cores=os.cpu_count() or 1, wanted=options.workers)
    given = [
        *("--host", target.url, "--users", str(options.users), "--spawn-rate", "20"),
        *("--hold-seconds", str(options.seconds), "--login-rate", str(target.login_rate)),
        *("--services-of", str(target.root), "--result", str(directory)),
        *("--shape", options.shape, "--step-users", str(options.step_users)),
        *("--node-command", options.node_command, "--nodes", str(options.nodes)),
        *("--sockets-at", options.sockets_at, "--ca", options.ca),
        *("--title", f"Load test: {options.users} users, {options.shape}"),
        *(("--plant", options.plant) if options.plant else ()),
        *(("--objectives", str(options.objectives)) if options.objectives else ()),
    ]
    by = "" if workers == 1 else f", by {workers} processes"
    sys.stdout.write(
        f"{options.users} users log in{by}, two at a time and {target.login_rate:g} a second at most, then work for"
        f" {options.seconds:g} s; 10 to 25 s more for what is still due ...\n"
    )
    sys.stdout.flush()
    try:
        code = generators.run(given, directory, workers=workers, timeout_seconds=patience)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"Locust hung for more than {patience:.0f} s; see {directory}/locust.log") from error
    headline = directory / "headline.txt"
    if not headline.exists():
        sys.stderr.write((directory / "stdout.log").read_text(encoding="utf-8")[-3000:])
        raise CannotRun(f"Locust ended without a result; see {directory}/locust.log")
    sys.stdout.write(f"{headline.read_text(encoding='utf-8')}\nreport: {directory}/report.html\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
