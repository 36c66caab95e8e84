"""Delivery latency of a run, measured by an independent program: Node with npm `ws`, on sockets of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from deploy.local.system import find_program
from loadtest.run.figures import DELIVERY
from testkit.percentiles import percentiles, rounded

SCRIPT = ROOT / "loadtest" / "crosscheck.js"
SAID, ERRORS = "crosscheck.json", "crosscheck.log"
END_SECONDS = 20.0
WANTED = (50.0, 95.0, 99.0, 99.9)


class CannotCrossCheck(Exception):
    """Node is not installed, or there are no figures to compare."""


@contextlib.contextmanager
def beside(origin: str, cookies: Sequence[str], directory: Path) -> Iterator[None]:
    """Run a Node client with a socket for each cookie until the `with` ends, and write its figures to the directory."""
    from bench.paths import NODE  # noqa: PLC0415 - only a cross-check needs the bench
    from bench.preparation import install_node_packages  # noqa: PLC0415 - the bench pins the packages' versions

    node = find_program("node")
    if node is None:
        raise CannotCrossCheck("node and npm are not installed")
    install_node_packages()
    url = f"{origin.replace('http', 'ws', 1)}/ws/notifications/"
    with (directory / SAID).open("wb") as said, (directory / ERRORS).open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [node, str(SCRIPT), url, origin],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=errors,
            env={"NODE_PATH": str(NODE / "node_modules")},
        )
        assert process.stdin
        process.stdin.write(json.dumps(list(cookies)).encode())
        process.stdin.close()
        try:
            yield
        finally:
            process.terminate()
            process.wait(END_SECONDS)


def compared(directory: Path) -> str:
    """Return a table of both programs' figures of the hold. Raises `CannotCrossCheck` if one of them has none."""
    report = json.loads((directory / "report.json").read_text(encoding="utf-8"))
    text = (directory / SAID).read_text(encoding="utf-8")
    if not text:
        errors = (directory / ERRORS).read_text(encoding="utf-8")
        raise CannotCrossCheck(f"Node reported no figures: {errors[-500:]}")
    seen = json.loads(text)
    since, until = held(report)
    counts = Counter(rounded(ms) for at, ms in seen["deliveries"] if since <= at < until)
    own = report["latencies"].get(DELIVERY)
    if not counts or own is None:
        raise CannotCrossCheck("no delivery was seen in the hold")
    theirs = percentiles(counts, WANTED)
    ours = [own[name] for name in ("p50", "p95", "p99", "p99_9")]
    lines = ["| milliseconds | sockets | deliveries | p50 | p95 | p99 | p99.9 |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, sockets, count, values in (
        ("load test", report["totals"]["sockets_at_once"], own["count"], ours),
        ("Node, npm `ws`", seen["sockets"], counts.total(), theirs),
    ):
        lines.append(f"| {name} | {sockets:,} | {count:,} | {' | '.join(f'{value:.3g}' for value in values)} |")
    lines += ["", f"Node saw {seen['gaps']} gaps, and {seen['closed']} of its sockets closed."]
    return "\n".join(lines)


def held(report: dict[str, Any]) -> tuple[float, float]:
    """Return the Unix times at which the hold began and ended."""
    phases = dict(reversed(report["phases"]))
    if "hold" not in phases:
        raise CannotCrossCheck("the run did not reach its hold")
    started = report["configuration"]["started_at"]
    return started + phases["hold"], started + phases["settle"]
