"""Controls a run in Locust: users come, work through the stretches of the shape, and wait for due events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from locust import LoadTestShape
from locust.runners import STATE_RUNNING, Runner

from loadtest.run.coordinator import Coordinator, ends, step_values, total
from loadtest.run.generator_health import judge
from loadtest.run.node_restarts import Nodes, restart_nodes
from loadtest.run.objectives import broken
from loadtest.run.run_state import ENDED, HOLD, RAMP, SETTLE, Run
from loadtest.run.shapes import ACTIVE_BEFORE_SPIKE, SHAPES, Action, Step, Stretch, Timeline, due

logger = logging.getLogger(__name__)

# Phones reconnect (up to 6 s), the grace of members that left ends (3 s), and then counts are sent.
SETTLE_LEAST_SECONDS = 10.0
# Events that arrive later count as lost.
SETTLE_MOST_SECONDS = 25.0
# A login takes half a second of a core, and on a busy machine it may get only half a core.
RAMP_GRACE_SECONDS = 60.0
RAMP_SECONDS_PER_USER = 1.0
# The requests that new users make when they come must not count as part of the step.
STEP_GRACE_SECONDS = 3.0
# If none has arrived when so many have failed to, none will.
FAILED_ARRIVALS = 5
# If no user has been on the way for so long, none is.
ARRIVAL_SECONDS = 5.0


class RunController(LoadTestShape):
    """Users come at `--spawn-rate` and log in at `--login-rate`. When all are live, the measured hold begins."""

    use_common_options = True
    run_state: Run
    coordinator: Coordinator
    nodes: Nodes | None = None
    runner: Runner | None

    def __init__(self, own: LoadTestShape | None = None) -> None:
        """A shape `own`, of the locustfile, decides on the number of users and the end of the work."""
        super().__init__()  # type: ignore[no-untyped-call] # Locust has no types
        # Called when a test begins. Locust's own event is too late, because it asks the shape for users before.
        self.begin_test: Callable[[], None] = lambda: None
        self._own = own
        self._reset()

    def reset_time(self) -> None:
        """Begin a test, as Locust does for each."""
        super().reset_time()  # type: ignore[no-untyped-call] # Locust has no types
        self._reset()
        if self._own is not None:
            self._own.runner = self.runner
            self._own.reset_time()  # type: ignore[no-untyped-call] # Locust has no types
        self.begin_test()

    def _reset(self) -> None:
        self._own_users: tuple[Any, ...] = (1, 1.0)
        self._since = 0.0
        self._held_until = -1.0
        self._lost_network = 0
        self._restored: int | None = None
        self._restarting: gevent.Greenlet | None = None
        self._step_since: float | None = None
        # The last second in which users were on the way.
        self._some_arrive_at = 0.0
        # The second in which the users of the current step began to come.
        self._step_came = 0

    def tick(self) -> Any:
        try:
            return self._tick()
        except Exception as error:
            # Locust would go on without a controller, until its time is over.
            logger.exception("the run's own controller failed")
            self.run_state.broke(error)
            self.run_state.enter(ENDED)
            return None

    def _tick(self) -> Any:
        assert self.runner is not None
        run, options = self.run_state, self.runner.environment.parsed_options
        assert options is not None
        if run.problem and not run.users and run.phase == RAMP:
            # The test could not be prepared.
            return None
        elapsed = self._elapsed() - self._since
        if self._own is not None and run.is_working:
            self._follow(self._own)
        elif run.phase == RAMP:
            self._ramp(elapsed)
        elif run.phase == HOLD and run.search is not None:
            self._step(elapsed, options.hold_seconds)
        elif run.phase == HOLD:
            # With -t, the time to work counts from the start of the test.
            hold_seconds = options.run_time - self._since if options.run_time else options.hold_seconds
            self._hold(elapsed, hold_seconds, SHAPES[options.shape](hold_seconds))
        elif run.phase == SETTLE and self._is_settled(elapsed):
            # While all users are still connected: later, users that left cannot be distinguished from lost users.
            self.coordinator.close_accounts()
            self._enter(ENDED)
        states = self.coordinator.states()
        self.coordinator.command(elapsed=run.clock() - run.started, online=total(states, "online"), ends=ends(states))
        if run.phase == ENDED:
            return None
        if self._own is not None:
            return self._own_users
        # Includes lost users, because with a smaller number Locust would stop users that still run.
        return self._users(), options.spawn_rate or self._users()

    def _follow(self, own: LoadTestShape) -> None:
        """Let a shape of the locustfile decide. The time with a live user counts as the hold."""
        wanted = None if self._time_is_up else own.tick()
        if wanted is None:
            self._enter(SETTLE)
        else:
            self._own_users = wanted
            if self.run_state.phase == RAMP and total(self.coordinator.states(), "live"):
                self._enter(HOLD)

    @property
    def _time_is_up(self) -> bool:
        """Whether the time of -t is over."""
        options = self.runner.environment.parsed_options if self.runner is not None else None
        return bool(options and options.run_time and self._elapsed() >= options.run_time)

    def _users(self) -> int:
        assert self.runner is not None
        options = self.runner.environment.parsed_options
        users: int = self.run_state.search.wanted if self.run_state.search else (options and options.num_users) or 1
        return users

    def _expected_users(self) -> int:
        """Return the number of users to wait for, without the users of lost workers."""
        return max(1, self._users() - self.coordinator.lost_users())

    def _ramp(self, elapsed: float) -> None:
        if problem := self._cannot_arrive(elapsed):
            self._give_up(problem)
        elif problem := self._still_missing(elapsed):
            self.run_state.problem = problem if elapsed > self._ramp_timeout() or self._time_is_up else ""
            if self.run_state.problem:
                self._enter(SETTLE)
        else:
            self._enter(HOLD)

    def _hold(self, elapsed: float, hold_seconds: float, timeline: Timeline) -> None:
        for stretch in due(timeline, before=self._held_until, now=elapsed):
            self._begin(stretch)
        self._held_until = elapsed
        self._check_storm()
        if elapsed >= hold_seconds and (self._restarting is None or self._restarting.ready()):
            self._enter(SETTLE)

    def _begin(self, stretch: Stretch) -> None:
        run = self.run_state
        run.note(stretch.name)
        logger.info("stretch %s at %d s", stretch.name, run.second)
        if stretch.action is Action.DISCONNECT:
            self._lost_network = total(self.coordinator.states(), "sockets")
            self.coordinator.command(network=False)
        elif stretch.action is Action.RECONNECT:
            self._restored = run.second
            self.coordinator.command(network=True)
        elif stretch.action in (Action.DEACTIVATE, Action.ACTIVATE):
            self.coordinator.command(active_share=1.0 if stretch.action is Action.ACTIVATE else ACTIVE_BEFORE_SPIKE)
        elif stretch.action in (Action.DRAIN, Action.DEPLOY):
            self._restarting = gevent.spawn(self._restart_nodes, 1 if stretch.action is Action.DRAIN else None)

    def _check_storm(self) -> None:
        run = self.run_state
        if self._restored is None or (sockets := total(self.coordinator.states(), "sockets")) < self._lost_network:
            return
        seconds = run.second - self._restored
        run.incidents.append(
            f"{self._lost_network:,} sockets were lost at once; {sockets:,} were open {seconds} s after the network"
        )
        self._restored = None

    def _restart_nodes(self, count: int | None) -> None:
        run = self.run_state
        restarts = (
            []
            if self.nodes is None
            else restart_nodes(self.nodes, count, second=lambda: run.second, sleep=gevent.sleep)
        )
        run.incidents += map(str, restarts)
        if not restarts or any(each.seconds is None for each in restarts):
            run.problem = "; ".join(map(str, restarts)) or "no node was found to end: see --node-command"

    def _step(self, elapsed: float, step_seconds: float) -> None:
        """Handle a tick of a search: users come, and then the step lasts as long as the hold of other shapes."""
        run = self.run_state
        assert run.search is not None
        if self._time_is_up:
            run.search.gave_up("the time of -t was over")
            self._enter(SETTLE)
        elif self._step_since is None:
            if problem := self._still_missing(elapsed):
                if reason := self._cannot_arrive(elapsed) or problem * (elapsed > self._ramp_timeout()):
                    run.search.gave_up(reason)
                    self._enter(SETTLE)
                return
            self._step_since = elapsed + STEP_GRACE_SECONDS
            run.note(f"{run.search.wanted}")
            self.coordinator.command(step_came=self._step_came, step_since=int(run.second + STEP_GRACE_SECONDS))
        elif elapsed >= self._step_since + step_seconds:
            since = int(run.second - step_seconds)
            if run.search.went(self._measured(since)):
                run.note("more")
                self._step_came = run.second
                self._since, self._step_since, self._some_arrive_at = self._elapsed(), None, 0.0
            else:
                self._enter(SETTLE)

    def _measured(self, since: int) -> Step:
        run = self.run_state
        assert run.search is not None
        values = step_values(self.coordinator.states())
        p95 = values.get("delivery_p95_ms")
        if not run.is_delivery_judged:
            values = {name: value for name, value in values.items() if not name.startswith("delivery_")}
        samples = [
            sample for sample, moment in zip(run.samples, run.figures.moments, strict=False) if moment.second >= since
        ]
        objectives = run.objectives
        health = judge(samples, cpu_share=objectives.generator_cpu_share, lag_ms=objectives.generator_lag_ms)
        return Step(
            *(run.search.wanted, p95, "; ".join(health.starved), tuple(broken(objectives, values))),
            since=since,
            until=run.second,
        )

    def _still_missing(self, elapsed: float) -> str:
        live = total(self.coordinator.states(), "live")
        wanted = self._expected_users()
        return "" if live >= wanted else f"only {live} of {wanted} users were live after {elapsed:.0f} s"

    def _cannot_arrive(self, elapsed: float) -> str:
        """Return the reason if no further user will arrive: all that come fail, or none of the missing is on the way.

        Locust's count of users is without those that failed; of other processes it is a few seconds old.
        """
        assert self.runner is not None
        states = self.coordinator.states()
        live, failed, wanted = total(states, "live"), total(states, "failed"), self._expected_users()
        if self.runner.user_count > live or live >= wanted or self.runner.state != STATE_RUNNING:
            self._some_arrive_at = elapsed
        is_over = elapsed - self._some_arrive_at > ARRIVAL_SECONDS
        if not failed or not (is_over or (not live and failed >= FAILED_ARRIVALS)):
            return ""
        causes = "; ".join(line for state in states.values() for line in state["failures"])
        return f"only {live} of {wanted} users were live, and {failed} could not log in or open their page: {causes}"

    def _give_up(self, problem: str) -> None:
        """End the run at once or, if there are users that are due events, as soon as these have arrived."""
        self.run_state.problem = problem
        if self.run_state.search is not None:
            self.run_state.search.gave_up(problem)
        has_users = total(self.coordinator.states(), "live") > 0
        if not has_users:
            self.coordinator.close_accounts()
        self._enter(SETTLE if has_users else ENDED)

    def _ramp_timeout(self) -> float:
        return RAMP_GRACE_SECONDS + RAMP_SECONDS_PER_USER * self._expected_users()

    def _is_settled(self, elapsed: float) -> bool:
        states = self.coordinator.states()
        if not states:
            # All processes that had users are lost, so that no further event can arrive.
            return True
        known = [state["end"] for state in states.values() if state["end"]]
        if len(known) == len(states):
            epoch = known[0][0]
            self.coordinator.command(end=(epoch, ends(states)[epoch]))
        elif elapsed > 2.0 and not total(states, "in_flight"):
            self.coordinator.command(read_end=True)
        if elapsed > SETTLE_MOST_SECONDS:
            return True
        is_even = all(state["even"] for state in states.values())
        return elapsed > SETTLE_LEAST_SECONDS and is_even and not self.run_state.disagreements()

    def _enter(self, phase: str) -> None:
        self._since = self._elapsed()
        self._some_arrive_at = 0.0
        self.coordinator.command(phase=phase)
        live = total(self.coordinator.states(), "live")
        logger.info("phase %s after %.0f s, %d users live", phase, self._since, live)
        gevent.sleep(0)

    def _elapsed(self) -> float:
        return float(self.get_run_time())  # type: ignore[no-untyped-call] # Locust has no types
