"""Entry point for Locust: journeys, shape and options. Prepares a run and writes its report."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import psutil
from locust import events, runners
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.create_users import password, read_sessions
from loadtest.journeys import weights
from loadtest.journeys.dashboard_user import DashboardUser, LoginLimiter
from loadtest.journeys.editor import Editor
from loadtest.journeys.five_tabs import FiveTabs
from loadtest.journeys.list_reader import ListReader
from loadtest.journeys.mobile import Mobile
from loadtest.journeys.watcher import Watcher
from loadtest.report.report_files import markdown, write_report
from loadtest.report.result import Result
from loadtest.run import load_metrics
from loadtest.run.clock_difference import Clocks
from loadtest.run.coordinator import Coordinator, OneProcess, WorkerConnection, WorkerProcesses, paths, total
from loadtest.run.figures import Moment
from loadtest.run.generator_health import Pulse, Sample
from loadtest.run.locust_figures import add_to_locust
from loadtest.run.machine_watch import MachineWatch
from loadtest.run.node_restarts import NodesByCommand, NodesByProcess
from loadtest.run.objectives import OBJECTIVES, Objectives
from loadtest.run.own_faults import name_own_faults
from loadtest.run.planted_faults import KINDS, PlantedFaults
from loadtest.run.run_controller import RunController
from loadtest.run.run_state import Run
from loadtest.run.shapes import SHAPES, Search
from loadtest.run.worker_agent import WorkerAgent
from testkit.service_usage import Services, Usage

__all__ = ["Editor", "FiveTabs", "ListReader", "Mobile", "RunController", "Watcher"]

logger = logging.getLogger(__name__)
# By default Locust gives up a worker after three seconds of silence, which can happen at a start on a busy machine.
runners.HEARTBEAT_LIVENESS = 20
# After a minute Locust would move the users of a lost worker to others, and the report could not distinguish them.
runners.HEARTBEAT_DEAD_INTERNAL = -86400
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A reading of /proc takes milliseconds; once a second, it would affect the figures.
SERVICES_SECONDS = 2.0
CORES = psutil.cpu_count() or 1
# Number of steps of a search without `--step-users`.
DEFAULT_STEPS = 10
# Length of the busy loops that keep the core from all other work if a starved generator is planted.
STARVE_SECONDS = 0.4


@events.init_command_line_parser.add_listener
def _options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tidewire", "each of them is a variable LOADTEST_... of the environment, too")

    def add(name: str, **more: Any) -> None:
        # Locust's parser comes from configargparse, which can read environment variables.
        variable: dict[str, Any] = {"env_var": f"LOADTEST_{name.strip('-').replace('-', '_').upper()}"}
        group.add_argument(name, **variable, **more)

    add("--hold-seconds", type=float, default=60.0, help="how long all users are held")
    add("--login-rate", type=float, default=2.0, help="logins a second; nginx allows 2 of one address")
    add("--logins-at-once", type=int, default=2, help="as many as the server has cores to hash on")
    add("--sessions", default="", help="file of users with a session, by `loadtest.create_users --sessions`")
    add("--pace", type=float, default=1.0, help="journeys' pauses are so many times as long as written")
    add(
        "--journeys",
        # Still text, as paths are, because Locust's master sends every option to its workers.
        type=partial(weights.known, journeys=DashboardUser.__subclasses__()),
        default="",
        help="those that the run has, and their weights: Editor=1,ListReader=4; all if none is named",
    )
    add("--objectives", default=str(OBJECTIVES), help="the file a run is judged by")
    add("--result", default="var/loadtest/latest", help="directory of the report")
    add("--services-of", type=int, default=0, help="process whose descendants are the services")
    add("--plant", default="", help=f"faults that the run must find, with commas between: {', '.join(KINDS)}")
    add("--shape", choices=SHAPES, default="ramp", help="how the run goes")
    add("--step-users", type=int, default=0, help="of shape steps: so many more users each time")
    add("--node-command", default="", help="ends ws node {n} and returns once it is back")
    add("--nodes", type=int, default=1, help="how many nodes the command knows")
    add("--sockets-at", default="", help="ws:// or wss:// addresses in place of the page's, by commas")
    add("--ca", default="", help="file of the authority that signed the stack's certificate")
    add("--metrics", default="", help="HOST:PORT where Prometheus is answered")
    add("--title", default="Load test", help="what the report is called")
    add("--print-report", action="store_true", help="also as Markdown, if the files cannot be fetched")


# Not at the start of the test, because Locust asks the shape for its first users before that.
@events.init.add_listener
def _prepare(environment: Environment, **_more: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    environment.user_classes = list(weights.chosen(options.journeys, environment.user_classes))
    objectives = Objectives.read(Path(options.objectives))
    planted = list(filter(None, options.plant.split(",")))
    run = Run(
        objectives,
        environment.events.request.fire,
        clocks=Clocks(one=urlsplit(environment.host or "").hostname in LOOPBACK),
        pace=options.pace,
        report_many=partial(add_to_locust, environment.stats),
        planted=PlantedFaults(planted, objectives.late_seconds + 1.0) if planted else None,
    )
    environment.events.request.add_listener(run.answered)  # type: ignore[no-untyped-call] # Locust has no types
    name_own_faults(environment, run)
    run.addresses = tuple(filter(None, options.sockets_at.split(",")))
    run.authority = options.ca
    if options.shape == "steps":
        step = options.step_users or max(1, (options.num_users or 1) // DEFAULT_STEPS)
        run.search = Search(step, options.num_users or 1)
    services = Services(options.services_of) if options.services_of else None
    DashboardUser.run_state = RunController.run_state = run
    RunController.nodes = (
        NodesByCommand(options.node_command, options.nodes)
        if options.node_command
        else NodesByProcess(services)
        if services
        else None
    )
    workers = max(1, options.expect_workers) if isinstance(environment.runner, WorkerRunner) else 1
    DashboardUser.logins = LoginLimiter(options.login_rate / workers, max(1, options.logins_at_once // workers))
    DashboardUser.password = password()
    DashboardUser.sessions = read_sessions(options.sessions)
    if options.metrics:
        load_metrics.serve(run, options.metrics)
    coordinator = _coordinator(run, environment)
    gevent.spawn(_observe, run, services, coordinator)
    if "starve" in planted and not isinstance(environment.runner, MasterRunner):
        gevent.spawn(_starve, run)


def _coordinator(run: Run, environment: Environment) -> Coordinator | None:
    """Return the processes that have users, or None in a worker, which only follows commands."""
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        RunController.coordinator = WorkerProcesses(run, runner)
        return RunController.coordinator

    def users_here() -> list[DashboardUser]:
        assert environment.runner is not None
        users = [greenlet.args[0] for greenlet in environment.runner.user_greenlets if greenlet.args]
        # A user that is being created may have no page yet.
        return [user for user in users if isinstance(user, DashboardUser) and hasattr(user, "sockets")]

    agent = WorkerAgent(run, users_here)
    if isinstance(runner, WorkerRunner):
        WorkerConnection(agent, runner)
        return None
    RunController.coordinator = OneProcess(agent)
    return RunController.coordinator


@events.quitting.add_listener
def _finish(environment: Environment, **_more: Any) -> None:
    run: Run | None = getattr(DashboardUser, "run_state", None)
    if run is None or environment.parsed_options is None or isinstance(environment.runner, WorkerRunner):
        return
    run.flush()
    if run.accounts.account is None:
        run.problem = run.problem or "the run was stopped before its accounts were settled"
        run.reconcile()
    result = Result.of(run, environment)
    path = write_report(result, Path(environment.parsed_options.result))
    logger.info("report: %s", path)
    if environment.parsed_options.print_report:
        sys.stdout.write(markdown(result))
    environment.process_exit_code = 0 if result.passed else 1


def _observe(run: Run, services: Services | None, coordinator: Coordinator | None) -> None:
    """Record the state of the run every second. Of several generator processes, the worst values count."""
    usage, foreign = Usage({}, {}), None
    read_at = time.monotonic()
    machine = MachineWatch(run, services, RunController.nodes)

    def note(sample: Sample) -> None:
        nonlocal usage, foreign, read_at
        states = coordinator.states() if isinstance(coordinator, WorkerProcesses) else {}
        if states:
            cpu, lag = (max(state[name] for state in states.values()) for name in ("cpu", "lag_ms"))
            sample = Sample(sample.at, max(cpu, sample.cpu), max(lag, sample.lag_ms))
        run.samples.append(sample)
        if coordinator is not None and time.monotonic() - read_at >= SERVICES_SECONDS:
            read_at = time.monotonic()
            workers = [state["process"] for state in states.values()]
            # In a thread, because the readings must not delay the event loop.
            usage, foreign = gevent.get_hub().threadpool.apply(machine.read, (workers,))
            run.memory = {name: max(used, run.memory.get(name, 0)) for name, used in usage.rss_bytes.items()}
        live, sockets = (total(states, "live"), total(states, "sockets")) if states else (len(run.users), run.sockets)
        moment = Moment(
            *(run.second, run.phase, live, sockets, sample.cpu, sample.lag_ms, usage.cpu, dict(usage.rss_bytes)),
            # CPU use since the previous call.
            machine=psutil.cpu_percent() / 100 * CORES,
            paths=paths(states) if states else dict(run.paths),
            foreign=foreign,
        )
        run.figures.moments.append(moment)

    Pulse(gevent.sleep, note).run()


def _starve(run: Run) -> None:
    while run.is_working:
        until = time.perf_counter() + STARVE_SECONDS
        while time.perf_counter() < until:
            pass
        gevent.sleep(0.01)
