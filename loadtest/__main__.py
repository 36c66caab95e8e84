"""`make load` and `make load-smoke`: makes the users, starts Locust, says how it went. Measures nothing itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.layout import ROOT, Layout, LayoutError
from deploy.local.ready import is_ready

RESULTS = ROOT / "var" / "loadtest"
# What nginx lets one address do: two logins a second, and a thousand sockets, of which a user has three.
LOCAL_LOGIN_RATE = 2.0
LOCAL_MOST_USERS = 330
SMOKE_LOGIN_RATE = 8.0
PEOPLE_SECONDS = 120
# Ramp and settling have bounds of their own; this is for a Locust that hangs.
HANG_SECONDS = 600.0


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
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="against a stack of its own, without nginx's limits")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all users are held")
    parser.add_argument("--plant", default="", help="drop, double, swap, delay or starve: the run must find it")
    parser.add_argument("--objectives", type=Path, default=None)
    options = parser.parse_args(arguments)
    try:
        with _own_stack() if options.smoke else _running_stack(options.users) as target:
            _make_people(options.users, target)
            return _run(options, target)
    except (CannotRun, LayoutError) as error:
        sys.stderr.write(f"cannot run the load test: {error}\n")
        return 2


@contextlib.contextmanager
def _running_stack(users: int) -> Iterator[Target]:
    layout = Layout.from_variables(os.environ)
    if not is_ready(f"{layout.url}/login/"):
        raise CannotRun(
            f"nothing answers at {layout.url}. Start it in another terminal with `make up` (PORT=... moves it, here"
            " and there), or use `make load-smoke`, which starts a stack of its own"
        )
    if users > LOCAL_MOST_USERS:
        raise CannotRun(f"USERS={users}: nginx gives one address 1,000 sockets, enough for {LOCAL_MOST_USERS} users")
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
        with stack, _kept_logs(stack.layout.log):
            yield Target(stack.url, stack.layout.environment(), os.getpid(), SMOKE_LOGIN_RATE)


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
    patience = options.seconds + 2.0 * options.users + HANG_SECONDS
    command = [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest" / "locustfile.py")),
        *("--headless", "--only-summary", "--exit-code-on-error", "0"),
        *("--csv", str(directory / "locust"), "--html", str(directory / "locust.html")),
        *("--logfile", str(directory / "locust.log"), "--host", target.url),
        *("--users", str(options.users), "--spawn-rate", "20", "--hold-seconds", str(options.seconds)),
        *("--login-rate", str(target.login_rate), "--services-of", str(target.root), "--result", str(directory)),
        *("--title", f"Load test: {options.users} users"),
        *(("--plant", options.plant) if options.plant else ()),
        *(("--objectives", str(options.objectives)) if options.objectives else ()),
    ]
    sys.stdout.write(
        f"{options.users} users log in, two at a time and {target.login_rate:g} a second at most, then work for"
        f" {options.seconds:g} s; 10 to 25 s more for what is still due ...\n"
    )
    sys.stdout.flush()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (directory / "stdout.log").open("w", encoding="utf-8") as said:
        done = subprocess.run(  # noqa: S603 - our own
            command, cwd=ROOT, env=environment, stdout=said, stderr=said, check=False, timeout=patience
        )
    headline = directory / "headline.txt"
    if not headline.exists():
        sys.stderr.write((directory / "stdout.log").read_text(encoding="utf-8")[-3000:])
        raise CannotRun(f"Locust ended without a result; see {directory}/locust.log")
    sys.stdout.write(f"{headline.read_text(encoding='utf-8')}\nreport: {directory}/report.html\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
