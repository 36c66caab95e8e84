"""The file that Locust is given: journeys, shape and options, and the shell around a run's books."""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import events
from locust.env import Environment

from loadtest.figures import Moment
from loadtest.generator import Pulse, Sample
from loadtest.people import password
from loadtest.planting import KINDS, Planter
from loadtest.result import Result
from loadtest.run import Run
from loadtest.services import Services, Usage
from loadtest.shapes import Ramp
from loadtest.users.dashboard import DashboardUser, Turns
from loadtest.users.editor import Editor
from loadtest.users.mobile import Mobile
from loadtest.users.reader import ListReader
from loadtest.users.watcher import Watcher
from loadtest.verdict import OBJECTIVES, Objectives
from loadtest.writing import write

__all__ = ["Editor", "ListReader", "Mobile", "Ramp", "Watcher"]

logger = logging.getLogger(__name__)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Reading /proc takes milliseconds, which every second would show.
SERVICES_SECONDS = 2.0
# How long the core is kept from everybody else, again and again, where a starved generator is planted.
STARVE_SECONDS = 0.4


@events.init_command_line_parser.add_listener
def _options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tidewire")
    group.add_argument("--hold-seconds", type=float, default=60.0, help="how long all users are held")
    group.add_argument("--login-rate", type=float, default=2.0, help="logins a second; nginx allows 2 of one address")
    group.add_argument("--logins-at-once", type=int, default=2, help="as many as the server has cores to hash on")
    group.add_argument("--objectives", type=Path, default=OBJECTIVES, help="the file a run is judged by")
    group.add_argument("--result", type=Path, default=Path("var/loadtest/latest"), help="directory of the report")
    group.add_argument("--services-of", type=int, default=0, help="process whose descendants are the services")
    group.add_argument("--plant", choices=KINDS, default="", help="a fault to plant, which the run must find")
    group.add_argument("--title", default="Load test", help="what the report is called")


# Not at the start of the test: the shape is asked for its first users before that.
@events.init.add_listener
def _prepare(environment: Environment, **_more: Any) -> None:
    options = environment.parsed_options
    assert options is not None
    objectives = Objectives.read(options.objectives)
    run = Run(
        objectives,
        environment.events.request.fire,
        one_clock=urlsplit(environment.host or "").hostname in LOOPBACK,
        plant=Planter(options.plant, objectives.late_seconds + 1.0) if options.plant else None,
    )
    DashboardUser.run_state = Ramp.run_state = run
    DashboardUser.turns = Turns(options.login_rate, options.logins_at_once)
    DashboardUser.password = password()
    gevent.spawn(_observe, run, options.services_of)
    if options.plant == "starve":
        gevent.spawn(_starve, run)


@events.quitting.add_listener
def _finish(environment: Environment, **_more: Any) -> None:
    run: Run | None = getattr(DashboardUser, "run_state", None)
    if run is None or environment.parsed_options is None:
        return
    if run.account is None:
        run.problem = run.problem or "the run was stopped before its accounts were settled"
        run.settle_accounts()
    result = Result.of(run, environment)
    path = write(result, environment.parsed_options.result)
    logger.info("report: %s", path)
    environment.process_exit_code = 0 if result.passed else 1


def _observe(run: Run, root: int) -> None:
    """A line of the run's diary every second."""
    usage = Usage({}, {})
    services = Services(root) if root else None
    read_at = time.monotonic()

    def note(sample: Sample) -> None:
        nonlocal usage, read_at
        run.samples.append(sample)
        if services is not None and time.monotonic() - read_at >= SERVICES_SECONDS:
            read_at = time.monotonic()
            # In a thread: the readings must not be the loop's lag.
            usage = gevent.get_hub().threadpool.apply(services.read)
            run.memory = {name: max(used, run.memory.get(name, 0)) for name, used in usage.rss_bytes.items()}
        cpu, lag = sample.cpu, sample.lag_ms
        moment = Moment(run.second, run.phase, len(run.users), run.sockets, cpu, lag, usage.cpu)
        run.figures.moments.append(moment)

    Pulse(gevent.sleep, note).run()


def _starve(run: Run) -> None:
    while run.is_working:
        until = time.perf_counter() + STARVE_SECONDS
        while time.perf_counter() < until:
            pass
        gevent.sleep(0.01)
