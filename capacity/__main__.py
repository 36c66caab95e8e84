"""`make capacity`: plans a workload, names the first exhausted resource, and simulates incidents at that size."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from capacity import from_report, plan_text, validate
from capacity.costs import COSTS, ERRORS, CalibrateError, Costs, Errors
from capacity.inputs import WorkloadError
from capacity.model import NOT_MODELLED, plan
from capacity.workload import WORKLOAD, Workload
from deploy.local.layout import ROOT
from loadtest.report import compare_runs
from loadtest.report.compare_runs import CompareError

RESULTS = ROOT / "var" / "capacity"
# The sizes of the growth table, as multiples of the workload's users.
SIZES = (0.1, 0.3, 1, 3, 10)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m capacity", description=__doc__)
    parser.add_argument("--costs", type=Path, default=COSTS)
    parser.add_argument("--errors", type=Path, default=ERRORS, help="the model's errors in held-out runs")
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="what a workload takes")
    planning.add_argument("workload", type=Path, nargs="?", default=WORKLOAD)
    planning.add_argument(
        "--nodes", type=_count, default=None, help="so many ws nodes, in place of as many as it takes"
    )
    planning.add_argument("--out", type=Path, default=RESULTS)
    making = commands.add_parser("workload", help="print a workload to plan for, made from a load test's report")
    making.add_argument("report", type=Path, help="report.json, or its directory")
    checking = commands.add_parser("validate", help="the model against runs of the load test")
    checking.add_argument("runs", type=Path, nargs="+", help="directories with a report.json")
    measuring = commands.add_parser("calibrate", help="measure costs on this machine: lines for costs.toml")
    measuring.add_argument("--rounds", type=_count, default=3, help="rounds of three minutes, for the costs' spread")
    options = parser.parse_args(arguments)
    try:
        sys.stdout.write(_run(options))
    except (WorkloadError, CompareError, CalibrateError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _run(options: argparse.Namespace) -> str:
    match options.command:
        case "calibrate":
            from capacity import calibrate  # noqa: PLC0415 - it needs a stack, which planning does not

            return calibrate.main(rounds=options.rounds)
        case "workload":
            return from_report.main(options.report, compare_runs.read(options.report))
        case "validate":
            return validate.main(options.runs, Costs.read(options.costs), Errors.read(options.errors))
    try:
        return _planned(options)
    except OverflowError as error:
        raise WorkloadError(f"{options.workload}: some of its numbers are too great to calculate with") from error


def _planned(options: argparse.Namespace) -> str:
    costs, errors = Costs.read(options.costs), Errors.read(options.errors)
    workload = Workload.read(options.workload)
    planned = plan(workload, costs, nodes=options.nodes)
    sizes = sorted({max(1, round(workload.users * size)) for size in SIZES})
    growth = [plan(workload.grown_to(users), costs) for users in sizes]
    try:
        from capacity import plan_plots, simulate  # noqa: PLC0415 - only the whole plan needs SimPy and matplotlib
    except ImportError as error:
        raise WorkloadError(
            f"{error.name} is missing: `make capacity` installs it, or requirements/bench.txt"
        ) from error

    outcomes = [
        incident(simulate.World.of(planned, costs, workload))
        for incident in (simulate.node_loss, simulate.storm, simulate.deploy)
    ]
    text = [
        plan_text.described(planned, workload, costs, errors, nodes=options.nodes),
        plan_text.growth_table(growth),
        f"Incidents at {planned.users:,} users, simulated:\n" + "".join(f"- {outcome}\n" for outcome in outcomes),
        plan_text.effects_table(workload, costs, nodes=planned.nodes),
        f"Not in the model: {NOT_MODELLED}\n",
    ]
    paths = plan_plots.draw(growth, outcomes, options.out)
    (options.out / "plan.md").write_text("\n".join(text), encoding="utf-8")
    return "\n".join([*text, f"written: {options.out / 'plan.md'}, {', '.join(path.name for path in paths)}\n"])


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
