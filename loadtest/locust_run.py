"""Connects runs with Locust by its events. Each test of a process is a run with fresh accounts and a report."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gevent
import psutil
from locust import events, runners
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest import locust_web
from loadtest.journeys import weights
from loadtest.journeys.live_user import LiveUser, LoginLimiter
from loadtest.locust_options import DEFAULT_STEPS, add_options, live_users
from loadtest.number_options import check_numbers
from loadtest.report.report_files import markdown, write_report
from loadtest.report.result import Result
from loadtest.result_directories import directories
from loadtest.run import load_metrics
from loadtest.run.clock_difference import Clocks
from loadtest.run.coordinator import Coordinator, OneProcess, WorkerConnection, WorkerProcesses, paths, total
from loadtest.run.figures import Moment
from loadtest.run.generator_health import Pulse, Sample
from loadtest.run.locust_figures import add_to_locust
from loadtest.run.machine_watch import MachineWatch
from loadtest.run.message_exchange import MessageExchange
from loadtest.run.node_restarts import NodesByCommand, NodesByProcess
from loadtest.run.objectives import Objectives, ObjectivesError
from loadtest.run.own_faults import name_own_faults
from loadtest.run.planted_faults import PlantedFaults
from loadtest.run.run_controller import RunController
from loadtest.run.run_state import Run
from loadtest.run.shapes import Search
from loadtest.run.starvation import starve
from loadtest.run.worker_agent import WorkerAgent
from testkit.service_usage import Services, Usage

logger = logging.getLogger(__name__)
# By default Locust gives up a worker after three seconds of silence, which can happen at a start on a busy machine.
runners.HEARTBEAT_LIVENESS = 20
# After a minute Locust would move the users of a lost worker to others, and the report could not distinguish them.
runners.HEARTBEAT_DEAD_INTERNAL = -86400
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# A reading of /proc takes milliseconds; once a second, it would affect the figures.
SERVICES_SECONDS = 2.0
STOPPED = "the run was stopped before its accounts were settled"
CORES = psutil.cpu_count() or 1


class LocustRun:
    """The present run of this process: it is replaced when a test begins, and reported when the test ends."""

    def __init__(self, environment: Environment) -> None:
        assert environment.parsed_options is not None
        self.environment = environment
        self.options: argparse.Namespace = environment.parsed_options
        self.is_worker = isinstance(environment.runner, WorkerRunner)
        check_numbers(self.options)
        # The classes and weights of the locustfile, from which each test makes its choice.
        self._weights = {each: each.weight for each in live_users(environment.user_classes, self.options)}
        self._directories = directories(self.options.result)
        self._own_shape = environment.shape_class
        self._result: Result | None = None
        self._observer: gevent.Greenlet | None = None
        self._services = Services(self.options.services_of) if self.options.services_of else None
        self.run = self._new_run(Objectives.read(Path(self.options.objectives)))
        self._metrics = load_metrics.serve(self.run, self.options.metrics) if self.options.metrics else None
        environment.events.request.add_listener(self._answered)  # type: ignore[no-untyped-call] # Locust has no types
        self._connect()
        self.begin()
        # No test has begun yet.
        self._is_reported = True

    def begin(self) -> None:
        """Begin a run for the test that starts now, by the options as they are now."""
        options, environment = self.options, self.environment
        try:
            self.run = self._configured()
        except (ValueError, argparse.ArgumentTypeError, ObjectivesError, OSError) as error:
            self.run = self._new_run(self.run.objectives)
            self.run.problem = str(error)
            logger.error("the test cannot begin: %s", error)  # noqa: TRY400 - bad input, no bug
        if self._metrics is not None:
            self._metrics.follow(self.run)
        self._result, self._is_reported = None, False
        workers = max(1, options.expect_workers) if self.is_worker else 1
        LiveUser.run_state = self.run
        LiveUser.numbers = itertools.count(1)
        LiveUser.logins = LoginLimiter(options.login_rate / workers, max(1, options.logins_at_once // workers))
        for each in environment.user_classes:
            if issubclass(each, LiveUser):
                each.prepare(options)
        self._connect_run()
        if self._observer is not None:
            self._observer.kill(block=False)
        self._observer = gevent.spawn(self._observe)
        if "starve" in options.plant and not isinstance(environment.runner, MasterRunner):
            gevent.spawn(starve, self.run)

    def report(self) -> None:
        """Write the report of the present run once, and set the exit code by it."""
        if self.is_worker or self._is_reported:
            return
        self._is_reported = True
        # Locust logs an exception of a listener, and would end with 0.
        self.environment.process_exit_code = 1
        if self.run.accounts.account is None:
            # A test that was stopped by hand counts as it stands.
            self.run.problem = self.run.problem or STOPPED
        result = self._result = self._present_result()
        path = write_report(result, next(self._directories))
        logger.info("%s, report: %s", "passed" if result.passed else "FAILED", path)
        if self.options.print_report:
            sys.stdout.write(markdown(result))
        self.environment.process_exit_code = 0 if result.passed else 1

    def shown_result(self) -> Result:
        """Return the result for Locust's page: of the last test, or of the present one so far."""
        if self._result is not None:
            return self._result
        result, run = self._present_result(), self.run
        return dataclasses.replace(result, title=f"{result.title}, {run.phase}, {run.second} s so far")

    def _present_result(self) -> Result:
        if self.run.accounts.account is not None:
            self.run.flush()
            return Result.of(self.run, self.environment)
        return locust_web.so_far(self.run, self.environment, self.workers.accounts_so_far() if self.workers else ())

    def _answered(self, **request: Any) -> None:
        self.run.answered(**request)

    def _new_run(self, objectives: Objectives, **more: Any) -> Run:
        environment = self.environment
        run = Run(
            objectives,
            environment.events.request.fire,
            pace=self.options.pace,
            report_many=partial(add_to_locust, environment.stats),
            **more,
        )
        run.addresses = tuple(filter(None, self.options.sockets_at.split(",")))
        run.authority = self.options.ca
        run.own_shape = type(self._own_shape).__name__ if self._own_shape is not None else ""
        return run

    def _configured(self) -> Run:
        options, environment = self.options, self.environment
        check_numbers(options)
        if not self.is_worker:
            for each, weight in self._weights.items():
                each.weight = weight
            weights.known(options.journeys, self._weights)
            environment.user_classes = list(weights.chosen(options.journeys, list(self._weights)))
        objectives = Objectives.read(Path(options.objectives))
        planted = list(filter(None, options.plant.split(",")))
        is_one_clock = urlsplit(environment.host or "").hostname in LOOPBACK or not any(
            each.is_stamped_by_servers for each in self._weights
        )
        run = self._new_run(
            objectives,
            clocks=Clocks(one=is_one_clock),
            planted=PlantedFaults(planted, objectives.late_seconds + 1.0) if planted else None,
        )
        if options.shape == "steps" and self._own_shape is None:
            step = options.step_users or max(1, (options.num_users or 1) // DEFAULT_STEPS)
            run.search = Search(step, options.num_users or 1)
        return run

    def _connect(self) -> None:
        """Register the listeners that a process registers once."""
        runner = self.environment.runner
        assert runner is not None
        self._exchange = MessageExchange(runner)
        self.workers = WorkerProcesses(self.run, runner) if isinstance(runner, MasterRunner) else None
        agent = WorkerAgent(self.run, self._users_here)
        self._connection = WorkerConnection(agent, runner) if isinstance(runner, WorkerRunner) else None
        # A shape of the locustfile decides inside the controller.
        self._controller = RunController(self._own_shape)
        self._controller.runner = runner
        self._controller.begin_test = self.begin
        self.environment.shape_class = self._controller

    def _connect_run(self) -> None:
        """Connect the present run to the processes that have its users."""
        run, options = self.run, self.options
        self._exchange.begin(run)
        agent = WorkerAgent(run, self._users_here)
        if self._connection is not None:
            self._connection.begin(agent)
        if self.workers is not None:
            self.workers.begin(run)
        self.coordinator: Coordinator = self.workers or OneProcess(agent)
        self._controller.run_state = run
        self._controller.coordinator = self.coordinator
        self._controller.nodes = (
            NodesByCommand(options.node_command, options.nodes)
            if options.node_command
            else NodesByProcess(self._services)
            if self._services
            else None
        )

    def end_in_worker(self) -> None:
        """Report no more of the test that ended, because the master may soon begin another one."""
        if self._connection is not None:
            self._connection.pause()

    def _users_here(self) -> list[LiveUser]:
        assert self.environment.runner is not None
        users = [greenlet.args[0] for greenlet in self.environment.runner.user_greenlets if greenlet.args]
        # A user that is being created may have no page yet.
        return [user for user in users if isinstance(user, LiveUser) and hasattr(user, "sockets")]

    def _observe(self) -> None:
        """Record the state of the run every second. Of several generator processes, the worst values count."""
        run, usage, foreign = self.run, Usage({}, {}), None
        read_at = time.monotonic()
        machine = MachineWatch(run, self._services, self._controller.nodes)

        def note(sample: Sample) -> None:
            nonlocal usage, foreign, read_at
            states: Mapping[str, Mapping[str, Any]] = self.workers.states() if self.workers is not None else {}
            if states:
                cpu, lag = (max(state[name] for state in states.values()) for name in ("cpu", "lag_ms"))
                sample = Sample(sample.at, max(cpu, sample.cpu), max(lag, sample.lag_ms))
            run.samples.append(sample)
            if not self.is_worker and time.monotonic() - read_at >= SERVICES_SECONDS:
                read_at = time.monotonic()
                workers = [state["process"] for state in states.values()]
                # In a thread, because the readings must not delay the event loop.
                usage, foreign = gevent.get_hub().threadpool.apply(machine.read, (workers,))
                run.memory = {name: max(used, run.memory.get(name, 0)) for name, used in usage.rss_bytes.items()}
            live, sockets = (
                (total(states, "live"), total(states, "sockets")) if states else (len(run.users), run.sockets)
            )
            moment = Moment(
                *(run.second, run.phase, live, sockets, sample.cpu, sample.lag_ms, usage.cpu, dict(usage.rss_bytes)),
                # CPU use since the previous call.
                machine=psutil.cpu_percent() / 100 * CORES,
                paths=paths(states) if states else dict(run.paths),
                foreign=foreign,
            )
            run.figures.moments.append(moment)

        Pulse(gevent.sleep, note).run()


@events.init_command_line_parser.add_listener
def _options(parser: argparse.ArgumentParser) -> None:
    add_options(parser)


@events.init.add_listener
def _prepare(environment: Environment, **_more: Any) -> None:
    try:
        wired = LocustRun(environment)
    except (ObjectivesError, OSError, ValueError) as error:
        sys.stderr.write(f"the load test cannot start: {error}\n")
        sys.exit(2)
    name_own_faults(environment, lambda: wired.run)
    hooks, is_headless = environment.events, wired.options.headless

    def test_start(**_more: Any) -> None:
        # Elsewhere the controller begins, because Locust asks the shape for its first users before this event.
        if wired.is_worker:
            wired.begin()

    def test_stop(**_more: Any) -> None:
        wired.end_in_worker()
        # Without a page, workers send their last statistics only when they quit.
        if not is_headless:
            wired.report()

    for hook, listener in (
        (hooks.test_start, test_start),
        (hooks.test_stop, test_stop),
        (hooks.quitting, lambda **_more: wired.report()),
    ):
        hook.add_listener(listener)  # type: ignore[no-untyped-call] # Locust has no types
    if is_headless and not wired.is_worker:
        # While a shape runs, Locust handles SIGINT alone.
        gevent.signal_handler(signal.SIGTERM, os.kill, os.getpid(), signal.SIGINT)
    if environment.web_ui is not None:
        locust_web.add_report(environment.web_ui, wired.shown_result)
