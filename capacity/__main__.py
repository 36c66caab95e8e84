"""`make capacity`: plans a workload, names the first exhausted resource, and simulates incidents at that size."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from capacity import validate
from capacity.model import NOT_MODELLED, Plan, plan
from capacity.workload import COSTS, WORKLOAD, CalibrateError, Costs, Workload, WorkloadError
from deploy.local.layout import ROOT
from loadtest.report.compare_runs import CompareError
from testkit.svg_charts import number

RESULTS = ROOT / "var" / "capacity"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m capacity", description=__doc__)
    parser.add_argument("--costs", type=Path, default=COSTS)
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="what a workload takes")
    planning.add_argument("workload", type=Path, nargs="?", default=WORKLOAD)
    planning.add_argument("--nodes", type=int, default=None, help="so many ws nodes, in place of as many as it takes")
    planning.add_argument("--out", type=Path, default=RESULTS)
    checking = commands.add_parser("validate", help="the model against runs of the load test")
    checking.add_argument("runs", type=Path, nargs="+", help="directories with a report.json")
    commands.add_parser("calibrate", help="measure costs on this machine, in three minutes: lines for costs.toml")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_run(options))
    except (WorkloadError, CompareError, CalibrateError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _run(options: argparse.Namespace) -> str:
    if options.command == "calibrate":
        from capacity import calibrate  # noqa: PLC0415 - it needs a stack, which planning does not

        return calibrate.main()
    costs = Costs.read(options.costs)
    if options.command == "validate":
        return validate.main(options.runs, costs)
    workload = Workload.read(options.workload)
    planned = plan(workload, costs, nodes=options.nodes)
    growth = [plan(workload.grown_to(users), costs) for users in SIZES]
    largest = workload.grown_to(SIZES[-1])
    text = [_described(planned, workload), _table(growth), f"Not in the model: {NOT_MODELLED}\n"]
    from capacity import plan_plots, simulate  # noqa: PLC0415 - only the whole plan needs SimPy and matplotlib

    outcomes = [
        incident(simulate.World.of(growth[-1], costs, largest))
        for incident in (simulate.node_loss, simulate.storm, simulate.deploy)
    ]
    text.insert(2, f"At {SIZES[-1]:,} users, simulated:\n" + "".join(f"- {outcome}\n" for outcome in outcomes))
    paths = plan_plots.draw(growth, outcomes, options.out)
    (options.out / "plan.md").write_text("\n".join(text), encoding="utf-8")
    return "\n".join([*text, f"written: {options.out / 'plan.md'}, {', '.join(path.name for path in paths)}\n"])


def _described(planned: Plan, workload: Workload) -> str:
    deliveries = f"{workload.deliveries_per_second:,.0f} deliveries a second"
    size = (
        f"{planned.nodes:,} ws nodes of {planned.sockets_per_node:,.0f} sockets, {planned.ws_cores:.1f} cores together;"
        f" {planned.web_processes:,} web processes, {planned.web_cores:.1f} cores;"
        f" nginx, {planned.nginx_cores:.1f} cores; one Redis."
    )
    lines = [
        f"# {planned.users:,} users, {planned.sockets:,.0f} sockets, {deliveries}",
        "",
        size,
        "",
        "| resource | used | of | full |",
        "|---|--:|--:|--:|",
    ]
    lines += [
        f"| {load.resource} | {number(load.used)} {load.unit} | {number(load.limit)} {load.unit} | {load.share:.0%} |"
        for load in sorted(planned.loads, key=lambda each: -each.share)
    ]
    verdict = "It fits" if planned.fits else f"**It does not fit** within {planned.headroom:.0%}"
    lines += ["", f"{verdict}. What ends first is {planned.first.resource}: {planned.first.change}.", ""]
    return "\n".join(lines)


def _table(growth: Sequence[Plan]) -> str:
    lines = [
        "| users | sockets | ws nodes | ws cores | web cores | nginx cores | Redis core | p95 ms | ends first | fits |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|---|---|",
    ]
    lines += [
        f"| {each.users:,} | {each.sockets:,.0f} | {each.nodes:,} | {number(each.ws_cores)} | {number(each.web_cores)}"
        f" | {number(each.nginx_cores)}"
        f" | {number(each.redis_core)} | {number(each.p95_ms)} | {each.first.resource}"
        f" | {'yes' if each.fits else 'no'} |"
        for each in growth
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
