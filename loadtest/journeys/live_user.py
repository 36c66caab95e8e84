"""The base of all users, of any product: arrival, pages, live sockets and their accounts. Has no journey of its own."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from argparse import Namespace
from collections.abc import Iterator
from typing import ClassVar, overload

import gevent
from gevent.lock import BoundedSemaphore
from locust import HttpUser
from locust.exception import RescheduleTask
from locust.runners import WorkerRunner

from loadtest.clients.browser import Browser
from loadtest.clients.live_socket import LiveSocket
from loadtest.clients.wire_socket import WireSocket
from loadtest.clients.wires import Tidewire, Wire
from loadtest.create_users import username
from loadtest.run.rooms import Series
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Ledger, parse_position
from testkit.page_client import HEARTBEAT_SECONDS

# A spike begins within a moment, so absent users must check often.
ABSENCE_CHECK_SECONDS = 0.1
# A user that waits checks this often whether the run is over.
CHECK_SECONDS = 0.5


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


class LiveUser(HttpUser):
    """A user with live sockets. A product's own user has `arrive`, tasks and, if it logs in, `log_in`."""

    abstract = True
    connection_timeout = 60.0
    # Whether messages have timestamps by the servers' clock, which may differ from the generator's.
    is_stamped_by_servers: ClassVar[bool] = False
    # Set for each test, before the first user.
    run_state: ClassVar[Run]
    logins: ClassVar[LoginLimiter]
    numbers: ClassVar[itertools.count[int]] = itertools.count(1)

    @classmethod
    def prepare(cls, options: Namespace) -> None:
        """Prepare the class for a test with these options."""

    def on_start(self) -> None:
        self.number = self._next_number()
        self.name = username(self.number)
        self.random = random.Random(self.name)  # noqa: S311 - repeatable journeys, no secret
        self.browser = Browser(self.client, self.host or "", authority=self.run_state.authority)
        self.sockets: list[LiveSocket] = []
        self._ledgers = itertools.count(1)
        self._heartbeats = gevent.spawn(self._beat)
        self.log_in()
        self.arrive()
        self.run_state.users.add(self.name)

    def on_stop(self) -> None:
        self._heartbeats.kill(block=False)
        self.leave()
        self.run_state.online.discard(self.name)

    def log_in(self) -> None:
        """Log in, inside `with self.logins.turn():`. The users of a product without accounts do nothing."""

    def arrive(self) -> None:
        """Open the first page or socket of the journey. A user that was absent for a time comes here again."""
        raise NotImplementedError

    @overload
    def open_socket(self, path: str, wire: Wire, *, name: str = "") -> WireSocket: ...
    @overload
    def open_socket(self, path: str, wire: Tidewire, *, name: str = "") -> LiveSocket: ...

    def open_socket(self, path: str, wire: Wire | Tidewire, *, name: str = "") -> LiveSocket:
        """Open a socket that connects again when it is lost. `name` is the same for paths that are one in figures."""
        run, origin, cookie = self.run_state, self.browser.origin, self.browser.cookie
        opened: LiveSocket
        if isinstance(wire, Wire):
            opened = WireSocket(run, origin, path, wire, cookie=cookie, client=self.name, name=name)
        else:
            ledger = None if wire.at is None else self.new_ledger(wire.at)
            opened = LiveSocket(
                *(run, origin, path),
                cookie=cookie,
                name=name,
                on=wire.on,
                at=wire.at or "",
                ledger=ledger,
                stream=wire.stream,
            )
        self.sockets.append(opened)
        return opened

    def new_ledger(self, at: str) -> Ledger:
        """Return the account of a page, which is due all events after its position, whatever its socket receives.

        Without a position, the page is due the events after the first position of its socket.
        """
        run, position = self.run_state, parse_position(at) if at else None
        ledger = Ledger(f"{self.name} page {next(self._ledgers)}", position, late_seconds=run.objectives.late_seconds)
        run.accounts.open_page(ledger, position, run.clock())
        return ledger

    def published(self, room: str, number: int, sender: str = "") -> None:
        """Record a message that is now due to the room, if the user published it by another way than a socket."""
        self.run_state.accounts.rooms.sent(Series(room, sender), number, self.run_state.clock())

    def leave(self) -> None:
        """Close all sockets, as when a page is left."""
        for each in self.sockets:
            each.close()
        self.sockets = []

    def think(self, least: float, most: float) -> None:
        """Stay on the page for some seconds, times the run's pace, or until the run is over."""
        run = self.run_state
        until = time.monotonic() + self.random.uniform(least, most) * run.pace
        while run.is_working and not run.is_absent(self.number) and time.monotonic() < until:
            gevent.sleep(min(CHECK_SECONDS, max(0.0, until - time.monotonic())))

    def rest_when_over(self) -> None:
        """Start nothing while the run waits for due events. This must be the first line of every task.

        An absent user, as most are before a spike, leaves here and returns as if for the first time.
        """
        if not self.run_state.is_working:
            gevent.sleep(CHECK_SECONDS)
            raise RescheduleTask
        if self.run_state.is_absent(self.number):
            self.be_absent()
            while self.run_state.is_absent(self.number) or not self.run_state.is_working:
                gevent.sleep(ABSENCE_CHECK_SECONDS)
            self.arrive()
            raise RescheduleTask

    def be_absent(self) -> None:
        """Leave all pages, but stay logged in."""
        self.leave()
        self.run_state.online.discard(self.name)

    def read_stream_end(self) -> tuple[str, int] | None:
        """Return the end of the stream as the server knows it, or None if it cannot be read now.

        Products without a stream have none, and the messages that were sent decide.
        """
        return "", 0

    def network_changed(self) -> None:
        """Follow the run's command: disconnect all sockets, or let them connect again."""
        for each in self.sockets:
            if self.run_state.network:
                each.find_network()
            else:
                each.lose_network()

    def _next_number(self) -> int:
        """Return the next number, from 1, which must be unique among the processes of a run."""
        runner = self.environment.runner
        if not isinstance(runner, WorkerRunner):
            return next(LiveUser.numbers)
        options = self.environment.parsed_options
        workers: int = max(options.expect_workers if options else 1, runner.worker_index + 1)
        return (next(LiveUser.numbers) - 1) * workers + runner.worker_index + 1

    def _beat(self) -> None:
        while True:
            gevent.sleep(HEARTBEAT_SECONDS)
            for each in self.sockets:
                each.heartbeat()
