"""`python -m tests.compose.incidents [NAME...]`: the twelve incidents on the compose stack under load, as a table.

For each: the first right alert and its delay, wrong alerts, effects on users, and whether it healed by itself. Alerts
are those that Alertmanager would send, so an inhibited one does not count. Needs a Docker engine on this Linux machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.compose.causes import INCIDENTS, Incident
from tests.compose.conftest import Compose, started, why_no_engine
from tests.compose.inside import Inside
from tests.compose.visitors import Visitors, Visits
from tests.faults.crowd import Crowd, CrowdError, codes
from tests.faults.scene import people
from tests.http_client import fetch

PEOPLE, VISITORS, WRITERS = 30, 12, 4
# Rules compare with the time before, so monitoring must have seen some of it.
CALM_SECONDS = 60.0
POLL_SECONDS = 1.0
HEAL_SECONDS = 120.0
GOAL_SECONDS = 60.0
# All pages and sockets were well at the first look.
AT_ONCE_SECONDS = 2.0
# Fires always, so that its absence shows.
ALWAYS = "TidewireWatchdog"
CRITICAL = "critical"


@dataclass
class Result:
    """The row of an incident. `alerts`: name -> (seconds after the beginning, severity)."""

    incident: Incident
    alerts: dict[str, tuple[float, str]] = field(default_factory=dict)
    visits: Visits = field(default_factory=Visits)
    closes: dict[int, int] = field(default_factory=dict)
    healed: str = ""

    @property
    def right(self) -> tuple[float, str]:
        """Return (seconds, name) of the first right alert; ("inf", "") if there was none."""
        found = [(at, name) for name, (at, _) in self.alerts.items() if name in self.incident.expected]
        return min(found, default=(float("inf"), ""))

    @property
    def wrong(self) -> list[str]:
        """Return alerts that are not of this incident, and critical ones for an incident that users do not notice."""
        known = {*self.incident.expected, *self.incident.allowed}
        return sorted(
            f"{name} ({at:.0f} s)"
            for name, (at, severity) in self.alerts.items()
            if name not in known or (severity == CRITICAL and not self.incident.noticed)
        )

    @property
    def good(self) -> bool:
        # Faults without an effect on users may be reported later, by a warning, but must be reported.
        limit = GOAL_SECONDS if self.incident.noticed else float("inf")
        seconds, name = self.right
        reported = bool(name) and seconds <= limit
        return (reported or not self.incident.expected) and not self.wrong

    def row(self) -> str:
        seconds, name = self.right
        missing = "NONE | " if self.incident.expected else "none due | "
        first = f"{name}, {self.alerts[name][1]} | {seconds:.0f}" if name else missing
        closes = ", ".join(f"{code} x {count}" for code, count in sorted(self.closes.items())) or "none"
        visits = self.visits
        return (
            f"| {self.incident.name} | {first} | {', '.join(self.wrong) or 'none'} | "
            f"{visits.failed('page')} of {visits.pages} | {visits.failed('save')} of {visits.saves} | {closes} | "
            f"{self.healed} |"
        )


HEADER = (
    "| incident | first right alert | after s | wrong alerts | failed pages | failed saves | closes | healed |\n"
    "|---|---|---|---|---|---|---|---|"
)


def sent_alerts(compose: Compose) -> dict[str, str]:
    """Return name -> severity of the alerts that Alertmanager has and does not inhibit."""
    # Not published; on Linux the addresses of containers can be reached from their host.
    [container] = compose.running("alertmanager")
    networks = container["NetworkSettings"]["Networks"].values()
    address = next(each["IPAddress"] for each in networks if each["IPAddress"])
    url = f"http://{address}:9093/api/v2/alerts?active=true&inhibited=false&silenced=false"
    found = [each["labels"] for each in fetch(url).json()]
    return {each["alertname"]: each.get("severity", "") for each in found if each["alertname"] != ALWAYS}


def run(compose: Compose, incident: Incident) -> Result:
    """Cause one incident under load and watch until it is over."""
    _new_monitoring(compose)
    inside = Inside(compose)
    pages = people(inside, PEOPLE, prefix=incident.name, paths=("/ws/users/", "/ws/notifications/"))
    inside.sessions("ada")
    cookies = inside.sessions(*(f"visitor-{number}" for number in range(VISITORS)), tickets=True)
    result = Result(incident)
    with Crowd(inside, pages) as crowd, Visitors(compose, cookies, writers=WRITERS) as visitors:
        crowd.connect(per_second=40)
        time.sleep(CALM_SECONDS)
        if before := sent_alerts(compose):
            sys.stdout.write(f"{incident.name}: before it began: {before}\n")
        result.visits, began = visitors.begin(), time.time()
        undo = incident.cause(compose)
        healed_at = _watch(compose, result, crowd, began=began, end=began + incident.broken_seconds, before=set(before))
        if undo is not None:
            undo()
        if healed_at is None:
            mended = time.time()
            healed_at = _watch(
                compose, result, crowd, began=began, end=mended + HEAL_SECONDS, before=set(before), until_healed=True
            )
            how = f"{healed_at - mended:.0f} s after it was mended" if healed_at else "NOT"
            result.healed = how if incident.returns else "no: users log in again"
        else:
            seconds = healed_at - began
            result.healed = f"by itself, {seconds:.0f} s" if seconds > AT_ONCE_SECONDS else "nothing failed"
        result.closes = dict(codes(crowd.diaries(), began))
    return result


def _watch(
    compose: Compose,
    result: Result,
    crowd: Crowd,
    *,
    began: float,
    end: float,
    before: set[str],
    until_healed: bool = False,
) -> float | None:
    """Note new alerts until `end`. Return the time at which everything was well for good; None: it is not."""
    well_since = None
    while time.time() < end:
        for name, severity in sent_alerts(compose).items():
            if name not in before:
                result.alerts.setdefault(name, (time.time() - began, severity))
        well = _well(result, crowd)
        well_since = (well_since or time.time()) if well else None
        if until_healed and well_since and time.time() - well_since > 3:
            break
        time.sleep(POLL_SECONDS)
    return well_since


def _well(result: Result, crowd: Crowd) -> bool:
    """Tell whether all sockets are open and nothing failed in the last three seconds."""
    status = crowd.ask("status")
    failed = [at for at, _kind, _what in result.visits.failures if at > time.time() - 3]
    return status["disconnected"] == 0 and not failed


def _new_monitoring(compose: Compose) -> None:
    """Start Prometheus and Alertmanager without the past of the incident before."""
    compose("rm", "--force", "--stop", "--volumes", "prometheus", "alertmanager")
    for name in ("prometheus", "alertmanager"):
        _docker(compose, "volume", "rm", "--force", f"{compose.project}_{name}")
    compose("rm", "--force", "volumes")
    counts = [f"{name}={len(compose.running(name))}" for name in ("web", "ws")]
    scale = [part for each in counts for part in ("--scale", each)]
    compose("up", "--detach", "--wait", "--no-recreate", *scale)


def _docker(compose: Compose, *command: str) -> None:
    subprocess.run(["docker", *command], check=False, capture_output=True, env=compose.environment)


@contextlib.contextmanager
def small_disk() -> Iterator[dict[str, str]]:
    """Give PostgreSQL a file system of its own, so that a full disk harms nothing else. Needs root."""
    with tempfile.TemporaryDirectory() as directory:
        # The exporter of free space, which is not root, must reach it: without that the disk has no metric.
        Path(directory).chmod(0o755)
        disk = Path(directory) / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tidewire-test", str(disk)], check=True)
        (disk / "postgres").mkdir()
        os.chown(disk / "postgres", 70, 70)
        try:
            files = f"compose.yaml{os.pathsep}tests/compose/small-disk.yaml"
            yield {"COMPOSE_FILE": files, "TIDEWIRE_TEST_DISK": str(disk)}
        finally:
            subprocess.run(["umount", str(disk)], check=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compose.incidents", description=__doc__.splitlines()[0])
    names = [each.name for each in INCIDENTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; none: all")
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: no such incident; there are {', '.join(names)}")
    if reason := why_no_engine():
        parser.error(reason)
    known = {each.name: each for each in INCIDENTS}
    chosen = [known[name] for name in wanted.names or names]
    results = []
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as closing:
        more = closing.enter_context(small_disk()) if "disk-full" in {each.name for each in chosen} else {}
        compose = closing.enter_context(started(Path(directory), more))
        for incident in chosen:
            try:
                results.append(run(compose, incident))
            except (AssertionError, CrowdError, OSError) as error:
                results.append(Result(incident, healed=f"THE RUN FAILED: {str(error)[:200]}"))
            sys.stdout.write(f"{results[-1].row()}\n")
            sys.stdout.flush()
    sys.stdout.write("\n".join(["", HEADER, *(each.row() for each in results), ""]))
    return int(not all(each.good for each in results))


if __name__ == "__main__":
    sys.exit(main())
