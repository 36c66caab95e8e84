"""Create the users of a run, start Locust and print its result (`make load`, `make load-smoke`). Locust measures."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.local.layout import ROOT, LayoutError
from loadtest import locust_processes
from loadtest.journeys.weights import formed
from loadtest.locust_processes import LOCUSTFILE, workers_for
from loadtest.number_options import check_numbers
from loadtest.report import compare_runs
from loadtest.result_directories import RESULTS, own_directory
from loadtest.run.planted_faults import KINDS
from loadtest.run.shapes import SHAPES
from loadtest.target_stack import CannotRun, Target, make_users, other_product, own_stack, running_stack, scraped

# nginx accepts 1,000 sockets from one address, and a user has 3.7 sockets on average.
LOCAL_MOST_USERS = 260
# The ramp and the settling phase have limits of their own; this limit is for a Locust that hangs.
HANG_SECONDS = 600.0
# Number of steps of a search without `--step-users`, as in locust_options.py, which imports Locust.
DEFAULT_STEPS = 10


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="against a stack of its own, without nginx's limits")
    parser.add_argument("--stack", default="", help="MODULE:CLASS of another product's stack, for a stack of its own")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--spawn-rate", type=float, default=20.0, help="how many begin to come each second")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long all users are held")
    parser.add_argument("--plant", default="", help=f"{', '.join(KINDS)}: the run must find each")
    parser.add_argument("--objectives", type=Path, default=None)
    parser.add_argument("--sockets-at", default="", help="ws:// or wss:// addresses of nodes, in place of the page's")
    parser.add_argument("--ca", default="", help="file of the authority that signed the stack's certificate")
    parser.add_argument("--workers", type=int, default=0, help="so many processes make the load; 0: as many as needed")
    parser.add_argument("--pace", type=float, default=1.0, help="journeys' pauses are so many times as long as written")
    parser.add_argument("--journeys", type=formed, default="", help="Editor=1,ListReader=4: these alone, so weighted")
    parser.add_argument("--logged-in", action="store_true", help="sessions are made beforehand, not by logging in")
    parser.add_argument("--shape", choices=SHAPES, default="ramp", help="how the run goes; see docs/load-testing.md")
    parser.add_argument("--step-users", type=int, default=0, help="of --shape steps: so many more users each time")
    parser.add_argument("--node-command", default="", help="ends ws node {n} and returns once it is back")
    parser.add_argument("--nodes", type=int, default=1, help="how many nodes that command knows")
    parser.add_argument("--target", default="", help="URL of a product that runs already, whose users exist")
    parser.add_argument("--locustfile", type=Path, default=None, help="of a product of your own; see examples/chat")
    parser.add_argument("locust", nargs="*", help="further options for Locust, after --")
    return parser


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    options = parser().parse_args(arguments)
    try:
        check_numbers(options)
    except ValueError as error:
        parser().error(str(error))
    try:
        with _stack(options) as target, tempfile.TemporaryDirectory(prefix="tidewire-load-") as directory:
            sessions = Path(directory) / "sessions.json" if options.logged_in else None
            # Each worker numbers its own users, and some workers may have one more user than others.
            most = options.users + (os.cpu_count() or 1) + options.workers
            if target.layout is not None:
                make_users(most, target.layout, sessions)
            return _run(options, target, sessions)
    except (CannotRun, LayoutError) as error:
        sys.stderr.write(f"cannot run the load test: {error}\n")
        return 2


def _compare(arguments: Sequence[str]) -> int:
    try:
        sys.stdout.write(f"comparison: {compare_runs.main(arguments)}\n")
    except compare_runs.CompareError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _stack(options: argparse.Namespace) -> contextlib.AbstractContextManager[Target]:
    if options.target:
        return other_product(options.target)
    if options.smoke or options.stack:
        return own_stack(options.stack)
    if options.users > LOCAL_MOST_USERS:
        sys.stdout.write(
            f"USERS={options.users}: nginx gives one address 1,000 sockets, enough for {LOCAL_MOST_USERS} users of a"
            " running `make up`; this run gets a stack of its own, without those limits\n"
        )
        return own_stack(options.stack)
    return running_stack()


def hang_seconds(options: argparse.Namespace) -> float | None:
    """Return how long a run can take, or None if -t or a shape of the locustfile decides."""
    if options.locustfile or any(each.startswith(("-t", "--run-time")) for each in options.locust):
        return None
    holds = max(1, options.users // options.step_users if options.step_users else DEFAULT_STEPS)
    held = options.seconds * (holds if options.shape == "steps" else 1)
    seconds: float = held + 2.0 * options.users + HANG_SECONDS
    return seconds


def _run(options: argparse.Namespace, target: Target, sessions: Path | None) -> int:
    directory = own_directory(ROOT / RESULTS)
    timeout_seconds = hang_seconds(options)
    workers = workers_for(options.users, cores=os.cpu_count() or 1, wanted=options.workers)
    locust_options = [
        *("--host", target.url, "--users", str(options.users)),
        *("--spawn-rate", str(options.spawn_rate)),
        *("--hold-seconds", str(options.seconds), "--login-rate", str(target.login_rate)),
        *("--services-of", str(target.root), "--result", str(directory)),
        *("--shape", options.shape, "--step-users", str(options.step_users)),
        *("--node-command", options.node_command, "--nodes", str(options.nodes)),
        *("--sockets-at", options.sockets_at, "--ca", options.ca),
        *("--pace", str(options.pace), "--journeys", options.journeys),
        *(("--sessions", str(sessions)) if sessions else ()),
        *(
            "--title",
            f"Load test of {options.target or options.stack or 'tidewire'}: {options.users} users, {options.shape}",
        ),
        *(("--plant", options.plant) if options.plant else ()),
        *(("--objectives", str(options.objectives)) if options.objectives else ()),
        *options.locust,
    ]
    by = "" if workers == 1 else f", by {workers} processes"
    arrival = (
        "come,"
        if options.target
        else "connect"
        if sessions
        else f"log in, two at a time and {target.login_rate:g} a second at most,"
    )
    sys.stdout.write(
        f"{options.users} users{by} {arrival} then work for {options.seconds:g} s; 10 to 25 s more for due events ...\n"
    )
    sys.stdout.flush()
    try:
        with scraped(target, workers) as ports:
            code = locust_processes.run(
                *(locust_options, directory),
                workers=workers,
                timeout_seconds=timeout_seconds,
                metrics_ports=ports,
                locustfile=options.locustfile or LOCUSTFILE,
            )
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"Locust hung for more than {error.timeout:.0f} s; see {directory}/locust.log") from error
    headline = directory / "headline.txt"
    if not headline.exists():
        sys.stderr.write((directory / "stdout.log").read_text(encoding="utf-8")[-3000:])
        raise CannotRun(f"Locust ended without a result; see {directory}/locust.log")
    sys.stdout.write(f"{headline.read_text(encoding='utf-8')}\nreport: {directory}/report.html\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
