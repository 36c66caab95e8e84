"""How a run goes: for now one shape, a ramp that holds, and then waits for everything that is still due."""

from __future__ import annotations

import logging

import gevent
from locust import LoadTestShape

from loadtest.browser import PageError
from loadtest.run import ENDED, HOLD, RAMP, SETTLE, Run
from loadtest.users.dashboard import DashboardUser

logger = logging.getLogger(__name__)

# Phones come back (6 s), left members' grace ends (3 s), and a count says so.
SETTLE_LEAST_SECONDS = 10.0
# What has not come by then is lost.
SETTLE_MOST_SECONDS = 25.0
# A login takes half a second of a core, or of half a core on a machine that does other things.
RAMP_GRACE_SECONDS = 60.0
RAMP_SECONDS_PER_USER = 1.0


class Ramp(LoadTestShape):
    """Users come at `--spawn-rate` and log in at `--login-rate`; once all are live the run is held and measured."""

    use_common_options = True
    run_state: Run

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # it has no types
        self._since = 0.0

    def tick(self) -> tuple[int, float] | None:
        assert self.runner is not None
        run, options = self.run_state, self.runner.environment.parsed_options
        assert options is not None
        elapsed = self._elapsed() - self._since
        users: int = options.num_users or 1
        if run.phase == RAMP:
            self._ramp(users, elapsed, RAMP_GRACE_SECONDS + RAMP_SECONDS_PER_USER * users)
        elif run.phase == HOLD and elapsed >= options.hold_seconds:
            self._enter(SETTLE)
        elif run.phase == SETTLE and self._is_settled(elapsed):
            # Here, while everybody is still connected: afterwards nothing tells who left from who lost.
            run.settle_accounts()
            self._enter(ENDED)
        return None if run.phase == ENDED else (users, options.spawn_rate or users)

    def _ramp(self, users: int, elapsed: float, patience: float) -> None:
        run = self.run_state
        if len(run.users) >= users:
            self._enter(HOLD)
        elif elapsed > patience:
            run.problem = f"only {len(run.users)} of {users} users were live after {elapsed:.0f} s"
            self._enter(SETTLE)

    def _is_settled(self, elapsed: float) -> bool:
        run = self.run_state
        if run.end is None and not run.in_flight and elapsed > 2.0:
            run.end = self._end()
        if elapsed > SETTLE_MOST_SECONDS:
            return True
        return elapsed > SETTLE_LEAST_SECONDS and run.is_even() and not run.disagreements()

    def _end(self) -> tuple[str, int] | None:
        """Where the stream ended, by a page rather than by a socket: what nobody got is missed too."""
        runner = self.runner
        assert runner is not None
        for user in runner.user_greenlets:
            journey = user.args[0] if user.args else None
            if isinstance(journey, DashboardUser):
                try:
                    epoch, _, offset = journey.browser.get("/").position.rpartition(":")
                    return (epoch, int(offset))
                except (PageError, ValueError) as error:
                    logger.warning("the end of the stream could not be read: %s", error)
                    return None
        return None

    def _enter(self, phase: str) -> None:
        self._since = self._elapsed()
        self.run_state.enter(phase)
        logger.info("phase %s after %.0f s, %d users live", phase, self._since, len(self.run_state.users))
        gevent.sleep(0)

    def _elapsed(self) -> float:
        return float(self.get_run_time())  # type: ignore[no-untyped-call] # it has no types
