"""The common part of all users of the dashboard: login, pages and their sockets. Has no journey of its own."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, ClassVar

from loadtest.clients.browser import Page, PageError
from loadtest.clients.live_socket import Handler, LiveSocket
from loadtest.clients.wires import Tidewire
from loadtest.create_users import password, read_sessions
from loadtest.journeys.live_user import LiveUser
from loadtest.run import figures
from testkit.delivery_ledger import parse_position

logger = logging.getLogger(__name__)


class DashboardUser(LiveUser):
    """Logs in, then is on one page at a time. Leaving a page closes its sockets, as in a browser."""

    abstract = True
    is_stamped_by_servers = True
    password: ClassVar[str]
    # Sessions of users that are already logged in, by name.
    sessions: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def prepare(cls, options: Namespace) -> None:
        cls.password = password()
        cls.sessions = read_sessions(options.sessions)

    def log_in(self) -> None:
        if session := self.sessions.get(self.name):
            self.browser.go_on(session)
            return
        with self.logins.turn():
            began = self.run_state.clock()
            self.browser.log_in(self.name, self.password)
            self.run_state.measured("USER", figures.LOGIN, self.run_state.clock() - began)

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
        if not page.position:
            # The page is usable, but its due events are only known from its socket's position on.
            self.run_state.failed("PAGE", page.path, PageError("the page has no position in its stream"))
        self.socket("/ws/users/", on={"users.count": self._counted})
        self.open_socket("/ws/notifications/", Tidewire(page.position))

    def socket(self, path: str, *, name: str = "", on: Mapping[str, Handler] | None = None) -> LiveSocket:
        """Open a socket for topics that need no account."""
        return self.open_socket(path, Tidewire(on=on or {}), name=name)

    def read_stream_end(self) -> tuple[str, int] | None:
        """Read the end of the stream from a page, not a socket, so that an event that no client received is missed too.

        Return None if it cannot be read.
        """
        try:
            return parse_position(self.browser.get("/").position)
        except (PageError, ValueError) as error:
            logger.warning("the end of the stream could not be read: %s", error)
            return None

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
