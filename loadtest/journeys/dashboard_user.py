"""The common part of all users of the dashboard: login, pages and their sockets. Has no journey of its own."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import gevent
from gevent.lock import BoundedSemaphore
from locust import HttpUser
from locust.exception import RescheduleTask
from locust.runners import WorkerRunner

from loadtest.clients.browser import Browser, Page, PageError
from loadtest.clients.live_socket import LiveSocket
from loadtest.create_users import username
from loadtest.run import figures
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Ledger, parse_position
from testkit.page_client import HEARTBEAT_SECONDS

logger = logging.getLogger(__name__)

_numbers = itertools.count(1)
# A spike begins within a moment, so absent users must check often.
ABSENCE_CHECK_SECONDS = 0.1


class LoginLimiter:
    """Spreads logins, by a rate and a number at once. A password costs the server more than all later pages."""

    def __init__(self, per_second: float, at_once: int) -> None:
        self._between = 1 / per_second
        self._next = time.monotonic()
        self._places = BoundedSemaphore(at_once)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        with self._places:
            at = max(self._next, time.monotonic())
            self._next = at + self._between
            gevent.sleep(at - time.monotonic())
            yield


class DashboardUser(HttpUser):
    """Logs in, then is on one page at a time. Leaving a page closes its sockets, as in a browser."""

    abstract = True
    # Set once per process, before the first user.
    run_state: ClassVar[Run]
    logins: ClassVar[LoginLimiter]
    password: ClassVar[str]
    # Sessions of users that are already logged in, by name.
    sessions: ClassVar[Mapping[str, str]] = {}
    connection_timeout = 60.0

    def on_start(self) -> None:
        self.number = self._next_number()
        self.name = username(self.number)
        self.random = random.Random(self.name)  # noqa: S311 - repeatable journeys, no secret
        self.browser = Browser(self.client, self.host or "", authority=self.run_state.authority)
        self.sockets: list[LiveSocket] = []
        self._pages = 0
        self._heartbeats = gevent.spawn(self._beat)
        if session := self.sessions.get(self.name):
            self.browser.go_on(session)
        else:
            with self.logins.turn():
                began = self.run_state.clock()
                self.browser.log_in(self.name, self.password)
                self.run_state.measured("USER", figures.LOGIN, self.run_state.clock() - began)
        self.arrive()
        self.run_state.users.add(self.name)

    def _next_number(self) -> int:
        """Return the next number, from 1, which must be unique among the processes of a run."""
        runner = self.environment.runner
        if not isinstance(runner, WorkerRunner):
            return next(_numbers)
        options = self.environment.parsed_options
        workers: int = max(options.expect_workers if options else 1, runner.worker_index + 1)
        return (next(_numbers) - 1) * workers + runner.worker_index + 1

    def on_stop(self) -> None:
        self._heartbeats.kill(block=False)
        self.leave()
        self.run_state.online.discard(self.name)

    def arrive(self) -> None:
        """Open the first page of the journey."""
        raise NotImplementedError

    def open(self, path: str, name: str = "") -> Page:
        """Load a page, leave the previous one, and open the header's two sockets as main.js does."""
        page = self.browser.get(path, name)
        self.show(page)
        return page

    def show(self, page: Page) -> None:
        """Show a page that a form has led to."""
        self.leave()
        self.add(page)

    def add(self, page: Page) -> None:
        """Open an additional page."""
        self._pages += 1
        run = self.run_state
        # Due are all events from the position of the page, whatever its socket receives.
        position = parse_position(page.position) if page.position else None
        ledger = Ledger(f"{self.name} page {self._pages}", position, late_seconds=run.objectives.late_seconds)
        run.accounts.open_page(ledger, position, run.clock())
        if position is None:
            # The page is usable, but its due events are only known from its socket's position on.
            run.failed("PAGE", page.path, PageError("the page has no position in its stream"))
        self.socket("/ws/users/", on={"users.count": self._counted})
        self.socket("/ws/notifications/", at=page.position, ledger=ledger)

    def socket(self, path: str, **options: Any) -> LiveSocket:
        opened = LiveSocket(self.run_state, self.browser.origin, path, cookie=self.browser.cookie, **options)
        self.sockets.append(opened)
        return opened

    def leave(self) -> None:
        for each in self.sockets:
            each.close()
        self.sockets = []

    def think(self, least: float, most: float) -> None:
        """Stay on the page for some seconds, times the run's pace, or until the run is over."""
        run = self.run_state
        until = time.monotonic() + self.random.uniform(least, most) * run.pace
        while run.is_working and not run.is_absent(self.number) and time.monotonic() < until:
            gevent.sleep(min(0.5, max(0.0, until - time.monotonic())))

    def read_stream_end(self) -> tuple[str, int] | None:
        """Read the end of the stream from a page, not a socket, so that an event that no client received is missed too.

        Return None if it cannot be read.
        """
        try:
            return parse_position(self.browser.get("/").position)
        except (PageError, ValueError) as error:
            logger.warning("the end of the stream could not be read: %s", error)
            return None

    def rest_when_over(self) -> None:
        """Start nothing while the run waits for due events. This must be the first line of every task.

        An absent user, as most are before a spike, leaves here and returns as if for the first time.
        """
        if not self.run_state.is_working:
            gevent.sleep(0.5)
            raise RescheduleTask
        if self.run_state.is_absent(self.number):
            self.leave_dashboard()
            while self.run_state.is_absent(self.number) or not self.run_state.is_working:
                gevent.sleep(ABSENCE_CHECK_SECONDS)
            self.arrive()
            raise RescheduleTask

    def leave_dashboard(self) -> None:
        """Leave all pages, but stay logged in."""
        self.leave()
        self.run_state.online.discard(self.name)

    def network_changed(self) -> None:
        """Follow the run's command: disconnect all sockets, or let them connect again."""
        for each in self.sockets:
            if self.run_state.network:
                each.find_network()
            else:
                each.lose_network()

    def _counted(self, event: dict[str, Any]) -> None:
        run = self.run_state
        run.counts[self.name] = event["count"]
        if self.name not in run.online:
            # All users of this run that have arrived before, and this user: a smaller count would be wrong.
            run.online.add(self.name)
            self._awaited, self._since = len(run.online) + run.online_elsewhere, self.sockets[0].started
        if self._awaited and event["count"] >= self._awaited:
            run.measured("WS", figures.COUNT, run.clock() - self._since)
            self._awaited = 0

    _awaited = 0
    _since = 0.0

    def _beat(self) -> None:
        while True:
            gevent.sleep(HEARTBEAT_SECONDS)
            for each in self.sockets:
                each.heartbeat()
