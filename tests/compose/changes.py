"""`python -m tests.compose.changes [ROUNDS]`: upgrade, rollback and restore under load, with the effects on visitors.

Each round prints a row for each: seconds, failed pages and saves, closes by code. Needs a Docker engine.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.compose.conftest import ROOT, Compose, started
from tests.compose.inside import Inside
from tests.compose.visitors import Visitors, Visits
from tests.faults.crowd import Crowd, codes
from tests.faults.scene import people

PEOPLE, VISITORS, WRITERS = 20, 20, 6
BACK_SECONDS = 90.0
COMMAND_SECONDS = 600.0
# Visits that were on their way at the end of the command.
AFTER_SECONDS = 3.0


@dataclass
class Change:
    """The effects of a command on visitors."""

    seconds: float
    code: int
    said: str
    visits: Visits
    closes: dict[int, int]

    def row(self, name: str) -> str:
        visits = self.visits
        closes = ", ".join(f"{code} x {count}" for code, count in sorted(self.closes.items())) or "none"
        return (
            f"| {name} | {self.seconds:.0f} | {visits.failed('page')} of {visits.pages} | "
            f"{visits.failed('save')} of {visits.saves} | {closes} | {visits.slowest_seconds:.1f} |"
        )


class Site:
    """A site in use: `do(command)` runs a command of `make` and returns the change."""

    def __init__(self, compose: Compose, crowd: Crowd, visitors: Visitors) -> None:
        self._compose, self._crowd, self._visitors = compose, crowd, visitors

    def do(self, *command: str, **environment: str) -> Change:
        visits, began = self._visitors.begin(), time.time()
        done = make(self._compose, *command, **environment)
        seconds = time.time() - began
        time.sleep(AFTER_SECONDS)
        self._crowd.wait(lambda status: status["disconnected"] == 0, BACK_SECONDS)
        return Change(
            seconds, done.returncode, done.stdout + done.stderr, visits, dict(codes(self._crowd.diaries(), began))
        )


def make(compose: Compose, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `make COMMAND` for the project, without the environment's own secrets."""
    return subprocess.run(
        ["make", *command, f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**compose.environment, "COMPOSE_PROJECT_NAME": compose.project, **environment},
        timeout=COMMAND_SECONDS,
    )


@contextlib.contextmanager
def used(compose: Compose, *, visitors: int = VISITORS) -> Iterator[Site]:
    """Yield the site with people on it: sockets, pages and saves."""
    inside = Inside(compose)
    pages = people(inside, PEOPLE, prefix="resident", paths=("/ws/users/", "/ws/notifications/"))
    inside.sessions("ada")
    cookies = inside.sessions(*(f"visitor-{number}" for number in range(visitors)))
    with Crowd(inside, pages) as crowd, Visitors(compose, cookies, writers=WRITERS) as visiting:
        crowd.connect(per_second=40)
        time.sleep(AFTER_SECONDS)
        yield Site(compose, crowd, visiting)


HEADER = "| command | seconds | failed pages | failed saves | closes | slowest s |\n|---|---|---|---|---|---|"


def main() -> int:
    rounds = int((sys.argv[1:] or ["3"])[0])
    sys.stdout.write(f"{HEADER}\n")
    failed = False
    with tempfile.TemporaryDirectory() as directory, started(Path(directory) / "secrets") as compose:
        for number in range(1, rounds + 1):
            backup = f"FILE={directory}/{number}.dump"
            with used(compose) as site:
                for command in (
                    ("compose-upgrade", f"VERSION=test-{number}"),
                    ("compose-rollback",),
                    ("compose-backup", backup),
                    ("compose-restore", backup),
                ):
                    change = site.do(*command)
                    failed |= bool(change.code)
                    sys.stdout.write(change.row(command[0]) + (f" {change.said[-400:]}" * bool(change.code)) + "\n")
                    for at, kind, what in change.visits.failures:
                        sys.stdout.write(f"  {datetime.fromtimestamp(at, UTC):%H:%M:%S.%f} {kind}: {what}\n")
                    sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
