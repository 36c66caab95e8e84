"""Run as `python -m tests.integration.loadtest.planted_rows [NAME ...]`: plants faults in the real product.

Prints the verdict of the load test on each, the cause that it names, and the seconds until then.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.layout import LOOPBACK, free_port
from loadtest import locust_processes
from loadtest.create_users import PASSWORD_VARIABLE
from loadtest.run.objectives import OBJECTIVES
from loadtest.target_stack import make_users, own_stack
from testkit.service_usage import Services
from tests.integration.loadtest.faulty_proxy import FaultyProxy, expired_certificate, running

RUN_SECONDS = 300.0
USERS = 30
BROKEN = Path(__file__).with_name("broken_journey.py")
# For the rows that plant a fault in a process of the product.
AT_SECONDS_OF_HOLD = 8.0
STOPPED_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, and a pattern of the line that must name it."""

    planted: str
    names: str
    proxy: dict[str, float] = field(default_factory=dict)
    options: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    # Ends or stops a process of the product in the hold.
    kill: int | None = None
    host: str = ""
    is_tls: bool = False
    # Users log in by their password; otherwise they have sessions, because a password is half a second of a core.
    logs_in: bool = False
    locustfile: Path = locust_processes.LOCUSTFILE


ROWS = {
    "nothing": Row(planted="nothing", names=r"Published times audience"),
    "deaf": Row(
        planted="half of the stream sockets get nothing, not even resumed",
        names=r"^deaf: socket",
        proxy={"deaf_each": 2},
    ),
    "pages": Row(
        planted="pages 4 s slower, --shape steps",
        names=r"Max users .*page_p95_ms",
        proxy={"page_seconds": 4.0},
        options=("--shape", "steps", "--step-users", "10"),
    ),
    "logins": Row(planted="logins 6 s slower", names=r"^login_p95_ms", proxy={"login_seconds": 3.0}, logs_in=True),
    "drop": Row(
        planted="0.1 % of the deliveries dropped", names=r"^(lost|missed): notification", proxy={"drop_each": 1000}
    ),
    "refused": Row(planted="refused connection", names=r"connection refused", host="http://localhost:1"),
    "password": Row(
        logs_in=True,
        planted="wrong password",
        names=r"refused the name or the password",
        environment={PASSWORD_VARIABLE: "wrong"},
    ),
    "certificate": Row(planted="expired certificate of pages", names=r"certificate has expired", is_tls=True),
    "502": Row(planted="each tenth page is answered with 502", names=r"^server_errors", proxy={"refuse_each": 10}),
    "own": Row(
        planted="an exception in the generator's own code", names=r"^generator: its own code failed", locustfile=BROKEN
    ),
    "killed": Row(planted="a node killed", names=r"Service ws:\d+ .* ended at", kill=signal.SIGKILL),
    "stopped": Row(planted="a node stopped for 10 s", names=r"Service ws:\d+ .* was stopped at", kill=signal.SIGSTOP),
}


@dataclass(frozen=True)
class Said:
    """The verdict on a row, the line that names the cause, and the seconds from Locust's start until then."""

    verdict: str
    named: str
    seconds: float
    directory: Path


def run(
    row: Row, url: str, directory: Path, *, users: int = USERS, seconds: float = 25.0, options: Sequence[str] = ()
) -> Said:
    """Load the product at `url` with the fault of a row."""
    with contextlib.ExitStack() as planted:
        host = planted.enter_context(_proxied(row, url, directory)) if row.proxy or row.is_tls else row.host or url
        planted.callback(_restore, dict(os.environ))
        os.environ.update(row.environment)
        if row.kill is not None:
            planted.enter_context(_in_the_hold(directory, lambda: _end_a_node(row.kill or 0)))
        given = ["--host", host, "--users", str(users), "--hold-seconds", str(seconds), "--result", str(directory)]
        given += ["--services-of", str(os.getpid()), "--spawn-rate", "20", "--login-rate", "8", "--pace", "0.5"]
        given += ["--ca", str(directory / "certificate.pem")] if row.is_tls else []
        began = time.monotonic()
        locust_processes.run(
            [*given, *options, *row.options],
            directory,
            workers=1,
            timeout_seconds=RUN_SECONDS,
            locustfile=row.locustfile,
        )
        took = time.monotonic() - began
    lines = (directory / "headline.txt").read_text().splitlines()
    named = next((line.strip() for line in lines if re.search(row.names, line.strip())), "NOT NAMED")
    return Said(lines[0].partition(":")[0], named, took, directory)


@contextlib.contextmanager
def _proxied(row: Row, url: str, directory: Path) -> Iterator[str]:
    where, port = urlsplit(url), free_port()
    proxy = FaultyProxy(upstream=(where.hostname or LOOPBACK, where.port or 80), **row.proxy)  # type: ignore[arg-type]
    certificate = expired_certificate(directory / "certificate.pem") if row.is_tls else None
    with running(proxy, port, certificate):
        yield f"{'https' if row.is_tls else 'http'}://localhost:{port}"


def _restore(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


@contextlib.contextmanager
def _in_the_hold(directory: Path, act: Callable[[], None]) -> Iterator[None]:
    """Do something some seconds after the hold has begun."""
    done = threading.Event()

    def wait() -> None:
        log = directory / "locust.log"
        while not done.wait(0.2):
            if log.exists() and "phase hold" in log.read_text():
                if not done.wait(AT_SECONDS_OF_HOLD):
                    act()
                return

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        yield
    finally:
        done.set()
        waiting.join()


def _end_a_node(number: int) -> None:
    nodes = {name: pids for name, pids in Services(os.getpid()).pids().items() if name.startswith("ws:")}
    [pid, *_] = nodes[min(nodes)]
    os.kill(pid, number)
    if number == signal.SIGSTOP:
        time.sleep(STOPPED_SECONDS)
        os.kill(pid, signal.SIGCONT)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.loadtest.planted_rows", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(ROWS)}; all if none is named")
    parser.add_argument("--objectives", default=str(OBJECTIVES), help="a file that fits a slower machine")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(ROWS)):
        parser.error(f"{', '.join(unknown)}: no fault of that name; there are {', '.join(ROWS)}")
    results = Path(tempfile.mkdtemp(prefix="tidewire-planted-"))
    sys.stdout.write("| planted | verdict | named cause | seconds |\n|---|---|---|--:|\n")
    all_named = True
    with own_stack() as target:
        assert target.layout is not None
        sessions = results / "sessions.json"
        make_users(USERS + 8, target.layout, sessions)
        for name in options.names or ROWS:
            directory = results / name
            directory.mkdir()
            given = ["--objectives", options.objectives]
            given += [] if ROWS[name].logs_in else ["--sessions", str(sessions)]
            said = run(ROWS[name], target.url, directory, options=given)
            all_named = all_named and said.named != "NOT NAMED"
            sys.stdout.write(f"| {ROWS[name].planted} | {said.verdict} | {said.named} | {said.seconds:.0f} |\n")
            sys.stdout.flush()
    sys.stdout.write(f"reports: {results}\n")
    return 0 if all_named else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
