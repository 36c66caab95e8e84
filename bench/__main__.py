"""`python -m bench`: runs the comparison, or parts of it, and writes the results.

`make bench` runs it without options, `make bench-quick` with `--quick`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import benchmark_report
from bench.compared_servers import OPEN_FILES, SERVERS, find
from bench.paths import DOCUMENT, PLOTS
from bench.plan import MEASURES, NODE, Plan, full, quick
from bench.preparation import prepare
from bench.progress import Progress
from bench.redis_server import redis_serving
from bench.results import LAST, Results, read
from bench.run_facts import about
from bench.runner import calmest, describe, run_step
from bench.server_processes import BenchError, Cores, raise_open_files
from bench.server_under_test import Bench
from bench.tables import Run


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Plan]:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure fan-out, side by side.")
    parser.add_argument("--quick", action="store_true", help="the core of it in less than two minutes")
    parser.add_argument("--measures", nargs="+", choices=MEASURES, help="only these")
    parser.add_argument("--servers", nargs="+", choices=[server.name for server in SERVERS], help="only these")
    parser.add_argument("--clients", nargs="+", type=int, help="only these numbers of clients")
    parser.add_argument("--rounds", type=int, help="how often each is measured")
    parser.add_argument("--no-pin", action="store_true", help="leave it to the system which core a process runs on")
    parser.add_argument("--no-report", action="store_true", help="leave docs/ as it is")
    parser.add_argument("--report-only", nargs="?", const=LAST, type=Path, help="write docs/ again from a run's file")
    options = parser.parse_args(arguments)
    base = quick() if options.quick else full()
    plan = Plan(
        measures=options.measures or base.measures,
        servers=options.servers or base.servers,
        clients=options.clients or base.clients,
        rounds=options.rounds or base.rounds,
        dose=base.dose,
        tries=base.tries,
        most_seconds=base.most_seconds,
    )
    return options, plan


async def run(options: argparse.Namespace, plan: Plan, command: list[str]) -> Results:
    cores = Cores() if options.no_pin else Cores.of_this_machine()
    skipped = {name: reason for name in plan.servers if (reason := find(name).missing())}
    steps = [step for step in plan.steps() if step.server not in skipped]
    most = max([step.clients for step in steps], default=0)
    needed = most + 200
    if (limit := raise_open_files(max(OPEN_FILES, needed))) < needed:
        raise BenchError(f"{most} clients need {needed} open files; the limit is {limit}: raise it (ulimit -Hn)")
    secret = prepare(most, node=any(step.server in NODE for step in steps))
    progress = Progress(steps, most_seconds=plan.most_seconds)
    async with redis_serving(cores.others) as redis:
        results = Results(about(command, redis, cores))
        results.skipped = skipped
        for name, reason in skipped.items():
            print(f"{find(name).label} is skipped: {reason}", flush=True)
        bench = Bench(redis, secret, cores)
        for number, step in enumerate(steps):
            if progress.left_out(number):
                continue
            progress.before(number)
            records = await calmest(functools.partial(run_step, bench, step, plan), plan.tries)
            results.add(records)
            progress.after(number, "; ".join(describe(record) for record in records))
    return results


def main(arguments: Sequence[str]) -> int:
    options, plan = parse(arguments)
    command = ["make", "bench-quick" if options.quick else "bench"]
    if set(arguments) - {"--quick", "--no-report"}:
        command = ["python", "-m", "bench", *arguments]
    if options.report_only:
        benchmark_report.write(Run(read(options.report_only)))
        return 0
    try:
        results = asyncio.run(run(options, plan, command))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: stopped; what was measured is in var/bench/last.json", file=sys.stderr)
        return 130
    measured = Run(results.as_dict())
    print(f"\n{benchmark_report.screen(measured)}\n\nresults: {results.path}")
    # Parts of the comparison make no document.
    if not (options.quick or options.no_report or options.measures or options.servers or options.clients):
        benchmark_report.write(measured)
        print(f"written: {DOCUMENT}, {PLOTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
