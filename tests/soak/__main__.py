"""`python -m tests.soak`: samples the real stack under churn for twenty minutes; growth after the warm-up fails.

Writes docs/soak.svg and the table in docs/reliability.md, unless the run is shorter than theirs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from tests.faults import table
from tests.faults.event_source import Publisher
from tests.faults.scene import people
from tests.soak import flat, plot
from tests.soak.flat import Bound, Verdict
from tests.soak.sampling import sample
from tests.stack import Stack, StackFactory

FULL_SECONDS = 1200.0
EVERY_SECONDS = 5.0
# By then the history of the streams is full (1,000 events) and every code path has run: see `run` for tickets.
WARM_UP_SHARE = 0.3
SAVES_PER_SECOND = 3.0
CHANGES_PER_SECOND = 10.0
# RSS changes by whole arenas of 1 MiB; descriptors and tasks by the sockets that are opened and closed at the time.
BOUNDS = {
    "RSS": Bound(0.02, 2.0),
    "Redis memory": Bound(0.05, 0.1),
    "file descriptors": Bound(0.05, 3.0),
    "tasks": Bound(0.05, 3.0),
}
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- soak: written by `make soak` -->", "<!-- soak: end -->"
Series = dict[str, list[tuple[float, float]]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=FULL_SECONDS)
    parser.add_argument("--people", type=int, default=80, help="each has four sockets")
    parser.add_argument("--changes", type=float, default=CHANGES_PER_SECOND, help="sockets opened and closed a second")
    parser.add_argument("--saves", type=float, default=SAVES_PER_SECOND, help="documents saved a second")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidewire-soak-") as directory:
        stack = StackFactory(Path(directory))()
        with stack:
            series, done = run(stack, asked)
    verdicts = judge(series, asked.seconds)
    words = f"{asked.seconds / 60:.0f} minutes, {4 * asked.people} sockets: {counts_text(done)}"
    results = ROOT / "var" / "soak"
    results.mkdir(parents=True, exist_ok=True)
    (results / "soak.json").write_text(json.dumps({"done": done, "series": series, "words": words}), encoding="utf-8")
    lines = report(verdicts, words)
    sys.stdout.write("\n".join(lines) + "\n")
    if asked.seconds >= FULL_SECONDS:
        write(lines, series, words, asked.seconds)
    return 0 if all(each.flat for each in verdicts) else 1


def run(stack: Stack, asked: argparse.Namespace) -> tuple[Series, dict[str, Any]]:
    """Churn and sample for this time. Return the series, and the numbers of operations."""
    slug = "how-we-write-documents-here"
    pages = people(
        stack, asked.people, paths=("/ws/users/", "/ws/notifications/", "/ws/documents/", f"/ws/document/{slug}/read/")
    )
    # Pages do not renew their tickets here, so after 15 minutes sockets are authenticated by their session, which loads
    # code that a ticket does not need. Some sockets have no ticket from the start, so that the warm-up includes that
    # path.
    pages = [
        replace(page, cookie=page.cookie.partition(";")[0]) if i % 4 == 0 else page for i, page in enumerate(pages)
    ]
    series: Series = defaultdict(list)
    request = {"port": stack.layout.ports.nginx, "pages": [asdict(page) for page in pages]}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.soak.churn_process"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as churn:
        assert churn.stdin is not None
        assert churn.stdout is not None
        churn.stdin.write(json.dumps(request | {"per_second": asked.changes}) + "\n")
        churn.stdin.flush()
        with Publisher(stack, asked.saves) as publisher:
            began = time.monotonic()
            while (at := time.monotonic() - began) < asked.seconds:
                for name, value in sample(stack).items():
                    series[name].append((at, value))
                time.sleep(EVERY_SECONDS)
            publisher.stop()
        churn.stdin.write("\n")
        churn.stdin.flush()
        done: dict[str, Any] = json.loads(churn.stdout.readline())
        churn.stdin.close()
    return series, done | {"saves": publisher.saved, "failed saves": publisher.failed}


def judge(series: Series, seconds: float) -> list[Verdict]:
    """Judge every series with a bound, after the warm-up."""
    warm = WARM_UP_SHARE * seconds
    return [
        flat.judge(name, [each for each in samples if each[0] >= warm], bound)
        for kind, bound in BOUNDS.items()
        for name, samples in series.items()
        if name.endswith(kind)
    ]


def counts_text(done: dict[str, Any]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in done.items() if isinstance(value, int) and name != "open")


def report(verdicts: list[Verdict], words: str) -> list[str]:
    """Return the figures in the format of the document."""
    lines = [
        f"{words}.",
        f"{table.now()}, commit {table.commit()}, {table.machine()}.",
        f"Flat: the least-squares line gains no more than the bound, after {WARM_UP_SHARE:.0%} of the time to warm up.",
        "",
        "| series | mean | highest | gained | bound | |",
        "|---|---|---|---|---|---|",
    ]
    for each in verdicts:
        numbers = f"{each.mean:.1f} | {each.highest:.1f} | {each.rise:+.2f} | {each.bound:.2f}"
        unit = " (MiB)" if each.name.endswith(("RSS", "memory")) else ""
        lines.append(f"| {each.name}{unit} | {numbers} | {'flat' if each.flat else '**grows**'} |")
    return lines


def write(lines: list[str], series: Series, words: str, seconds: float) -> None:
    """Insert the figures into the document, and write the plot beside it."""
    plot.draw(series, warm_up_seconds=WARM_UP_SHARE * seconds, title=words, path=ROOT / "docs" / "soak.svg")
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    DOCUMENT.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
