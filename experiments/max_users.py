"""Run as `python -m experiments.max_users`: finds the most users at a p95, of tidewire and of stock Channels, in turns.

Each round is a search (`--shape steps`) on a stack of its own, with the same pages, nginx, Redis and journeys.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local.layout import ROOT
from loadtest.run.objectives import OBJECTIVES, SETTINGS
from testkit.svg_charts import number

# Each product with the stack that serves it.
STACKS = {"stock": "experiments.stock_dashboard.stock_stack:StockStack", "tidewire": "tests.stack:Stack"}
PRODUCTS = tuple(STACKS)
UNLIMITED = 10**9


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.max_users", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, nargs=2, default=(300, 2400), metavar=PRODUCTS, help="the most to try")
    parser.add_argument("--step-users", type=int, nargs=2, default=(25, 300), metavar=PRODUCTS)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each step is held")
    parser.add_argument("--pace", type=float, default=6.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="a Markdown file for the result")
    options = parser.parse_args(arguments)
    reports: dict[str, list[dict[str, Any]]] = {product: [] for product in PRODUCTS}
    for _ in range(options.rounds):
        for product, users, step in zip(PRODUCTS, options.users, options.step_users, strict=True):
            reports[product].append(_search(product, users, step, options))
            sys.stdout.write(f"{product}: {reports[product][-1]['search']['sentence']}\n")
            sys.stdout.flush()
    text = table(reports)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0


def _search(product: str, users: int, step: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the report of a search."""
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "--smoke",
        "--logged-in",
        "--stack",
        STACKS[product],
        "--shape",
        "steps",
    ]
    command += ["--users", str(users), "--step-users", str(step), "--seconds", str(options.seconds)]
    command += ["--pace", str(options.pace), "--workers", str(options.workers)]
    with tempfile.TemporaryDirectory(prefix="tidewire-max-users-") as directory:
        objectives = Path(directory) / "objectives.toml"
        objectives.write_text(only_delivery(OBJECTIVES.read_text(encoding="utf-8")), encoding="utf-8")
        command += ["--objectives", str(objectives)]
        # The exit code is the verdict of the run, which a search does not need.
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    where = re.search(r"^report: (\S+)/report.html$", done.stdout, re.MULTILINE)
    if where is None:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return dict(json.loads((Path(where[1]) / "report.json").read_text(encoding="utf-8")))


def only_delivery(objectives: str) -> str:
    """Return objectives of which only p95 of delivery and those of the generator can end a search.

    The stock product loses events at any number of users, which the table shows beside the search.
    """
    kept = ("delivery_p95_ms", "generator_cpu_share", "generator_lag_ms", *SETTINGS)
    lines = (line.partition(" = ") for line in objectives.splitlines())
    return "".join(
        f"{name} = {value if name in kept else UNLIMITED}\n" for name, _, value in lines if value and name[0] != "#"
    )


def table(reports_by_product: dict[str, list[dict[str, Any]]]) -> str:
    """Return a table with a line for each round: the result, and the p95 of each step that led to it."""
    lines = ["| product | round | most users | p95 by step (users: ms) | wrong |", "|---|--:|--:|---|---|"]
    for product, reports in reports_by_product.items():
        for n, report in enumerate(reports, 1):
            search = report["search"]
            most = f"{'at least ' * search['at_least']}{search['users']:,}"
            steps = ", ".join(f"{each['users']}: {_p95(each)}" for each in search["steps"])
            wrong = ", ".join(f"{count} {kind}" for kind, count in report["counts"].items() if count) or "nothing"
            lines.append(f"| {product} | {n} | {most} | {steps} | {wrong} |")
    return "\n".join([*lines, ""])


def _p95(step: dict[str, Any]) -> str:
    text = "no delivery" if step["p95_ms"] is None else number(step["p95_ms"])
    return text + (" (generator)" if step["starved"] else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
