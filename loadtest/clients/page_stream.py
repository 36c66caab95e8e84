"""The stream topic of a page: its position, its ledger, and the figures of each of its events. Opens no socket."""

from __future__ import annotations

from typing import Any

from loadtest.clients.socket_readers import Unreadable
from loadtest.run import figures
from loadtest.run.message_cache import Message
from loadtest.run.run_state import Run
from testkit.delivery_ledger import Ledger, parse_position


class PageStream:
    """`at` is the position that the page was rendered with, from which its socket subscribes, or empty."""

    def __init__(self, run: Run, ledger: Ledger, at: str) -> None:
        self.ledger = ledger
        # The position from which the socket resumes, as text, which the server parses.
        self.position_text = at
        self._run = run
        self._at = parse_position(at) if at else None
        # The page's position, if it is due all events from there.
        self._page = self._at if ledger.epochs else None
        self._deliveries = run.meter("EVENT", figures.DELIVERY)
        self._intended = run.meter("EVENT", figures.INTENDED)
        self._began = 0.0
        self._subscribed = 0.0
        self._catching_up_to: int | None = None

    def connected(self, began: float) -> None:
        """Follow a new connection. Its handshake `began` at this time."""
        self._began = began
        self._catching_up_to = self._run.accounts.furthest if self._subscribed else None
        self.ledger.came_online(self._run.clock())

    def left(self, *, has_failed: bool = False) -> None:
        """Close the ledger: the page was left, or the load test's own code failed."""
        if self.ledger.is_closed:
            return
        now = self._run.clock()
        (self.ledger.failed if has_failed else self.ledger.left)(now)
        if self._page is not None:
            self._run.accounts.audience.left(self._page, now)

    def resumed(self, event: dict[str, Any]) -> None:
        epoch, offset = parse_position(event["at"])
        when = f"at {self._run.second} s"
        self.ledger.resumed(epoch, offset, recovered=event["recovered"], when=when)
        self._run.accounts.publications.add(epoch, offset, self._run.clock())
        self._at, self.position_text = (epoch, offset), event["at"]
        self._subscribed = self._run.clock()
        self._caught_up(offset)

    def received(self, message: Message, offset: int) -> None:
        """Record a delivery. A run can have tens of thousands a second, so each line here costs the generator CPU."""
        if self._at is None or not self._subscribed:
            raise Unreadable(f"event {offset} came before the position of its socket")
        run, clocks, epoch = self._run, self._run.clocks, self._at[0]
        now = run.clock()
        if not message.is_published:
            run.first_received(epoch, message, now)
        clocks.arrived(message.stamped, now)
        published = message.stamped - clocks.ahead_seconds
        due = max(published, self._subscribed)
        self.ledger.received(offset, now - due if clocks.is_known else None)
        if offset >= self._at[1]:
            # An event out of order must not move the client back, because a resume would repeat the events after it.
            self._at, self.position_text = (epoch, offset), f"{epoch}{message.mark}:{offset}"
        second = int(now - run.started)
        run.figures.deliveries[message.event_type][second] += 1
        if self._page is not None:
            run.accounts.audience.read += 1
        # An event that was published before the socket subscribed is sent by a resume, and counts from the
        # subscription.
        if published >= self._subscribed:
            self._deliveries.add(second, now - published)
            if save := run.accounts.save_of(message.event):
                self._intended.add(second, now - save.intended)
        else:
            run.measured("EVENT", figures.REPLAY, now - self._subscribed)
        if self._catching_up_to is not None:
            self._caught_up(offset)

    def is_late(self, message: Message) -> bool:
        """Return whether an event that has not been received is late by now."""
        published = message.stamped - self._run.clocks.ahead_seconds
        return self._run.clock() - max(published, self._subscribed) > self.ledger.late_seconds

    def _caught_up(self, offset: int) -> None:
        if self._catching_up_to is not None and offset >= self._catching_up_to:
            self._run.measured("WS", figures.RESUME, self._run.clock() - self._began)
            self._catching_up_to = None
