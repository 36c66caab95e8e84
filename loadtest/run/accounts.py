"""The accounts of a run in one process: ledgers, published events, saves, and their reconciliation. No clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.run.audience import Audience
from loadtest.run.rooms import Rooms
from testkit.delivery_ledger import Kind, Ledger
from testkit.publications import Publications
from testkit.reconciliation import Account, Fault, Tally, merged, tally

# A page that was left is reconciled this much later, when all that was published before is known: longer than the
# settling phase.
CLOSED_SECONDS = 30.0


@dataclass
class Save:
    """A save, known by its mark: its intended time, its actual time, and whether the page confirmed it."""

    intended: float
    sent: float = 0.0
    confirmed: bool = False
    # The id of the event that announced it.
    event_id: str = ""


@dataclass
class Accounts:
    ledgers: list[Ledger] = field(default_factory=list)
    # Events of pages that were left, which are already reconciled.
    closed_pages: Tally = field(default_factory=Tally)
    # The grace of a page that is left, and the second of the run at a time.
    grace_seconds: float = 0.0
    second_of: Callable[[float], int] = int
    publications: Publications = field(default_factory=Publications)
    audience: Audience = field(default_factory=Audience)
    # Numbered messages of products without a history.
    rooms: Rooms = field(default_factory=Rooms)
    # The name of each event by epoch and offset.
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    saves: dict[str, Save] = field(default_factory=dict)
    # Saves in progress, and saves that met a newer version.
    in_flight: int = 0
    conflicts: int = 0
    # The marks of saves that were confirmed, and of saves that an event at any client has announced.
    confirmed: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)
    # The greatest offset that any client has received.
    furthest: int = 0
    # The end of the stream that a page has reported after the last save.
    end: tuple[str, int] | None = None
    # In a process that only gives commands: the results of the other processes, which reconcile their own ledgers.
    parts: list[Tally] = field(default_factory=list)
    account: Account | None = None

    def published(self, epoch: str, event: dict[str, Any], at: float) -> None:
        """Record that a client received this event: the event gets a name, and its save counts as announced.

        `at` is its publication by this process's clock, or its arrival if that is unknown.
        """
        self.publications.add(epoch, event["offset"], at)
        place = (epoch, event["offset"])
        if place not in self.names:
            self.names[place] = event_name(event)
            if event.get("verb") == "updated":
                self.announced.add(event["title"])
            self._announce_once(event, at)
        self.furthest = max(self.furthest, event["offset"])

    def _announce_once(self, event: dict[str, Any], at: float) -> None:
        """Record a save's event. A page drops a repeated id, but shows two events with ids of their own."""
        save, event_id = self.save_of(event), event.get("id", "")
        if save is not None and event_id != save.event_id:
            if save.event_id:
                self.note(Kind.DUPLICATED, event_name(event), "", "published again, with another id", at)
            save.event_id = event_id

    def open_page(self, ledger: Ledger, position: tuple[str, int] | None, now: float) -> None:
        """Begin the ledger of a page. Its position also shows that all events up to there are published."""
        ledger.ready_at = now
        self.ledgers.append(ledger)
        if position is not None:
            self.audience.opened(position)
            self.publications.add(*position, now)

    def note(self, kind: Kind, event: str, client: str, detail: str, now: float) -> None:
        """Record a fault that concerns no event of the stream."""
        self.closed_pages.note(Fault(kind, event, client, detail), self.second_of(now))

    def save_of(self, event: dict[str, Any]) -> Save | None:
        """Return the save that an event announces. Other events may carry the title of a save, but announce none."""
        return self.saves.get(event["title"]) if event.get("verb") == "updated" else None

    def is_even(self) -> bool:
        """Return whether every client has received all events that are known to be due."""
        if self.end is None or self.in_flight:
            return False
        epoch, offset = self.end
        latest = [each.epochs[-1] for each in self.ledgers if each.epochs and not each.is_closed]
        return all(record.reached >= offset for record in latest if record.epoch == epoch) and self.rooms.is_even()

    def reconcile_closed_pages(self, *, before: float) -> None:
        """Reconcile the ledgers of pages that were left before a time, and discard these ledgers."""
        closed = [each for each in self.ledgers if each.left_at is not None and each.left_at < before]
        self.closed_pages.add(self._tally(closed))
        discarded = set(map(id, closed))
        self.ledgers = [each for each in self.ledgers if id(each) not in discarded]
        self.audience.count_left(self.publications, before=before)

    def tally(self, ends: Mapping[str, int] | None = None, *, as_it_stands: bool = False, now: float) -> Tally:
        """Return this process's due and received events. `ends` has the offsets that other processes know."""
        for epoch, offset in [*(ends or {}).items(), *([self.end] if self.end else [])]:
            self.publications.add(epoch, offset, now)
        self.reconcile_closed_pages(before=now - CLOSED_SECONDS if as_it_stands else math.inf)
        total = self._tally(self.ledgers, as_it_stands=as_it_stands)
        total.add(self.closed_pages)
        if not as_it_stands:
            # Rooms have no page, so that no audience is counted for them.
            total.check_sum(self.audience.offered(self.publications), self.audience.read)
            self.names.update(self.rooms.published)
        total.add(self.rooms.tally(as_it_stands=as_it_stands, second_of=self.second_of))
        return total

    def _tally(self, ledgers: list[Ledger], **options: Any) -> Tally:
        grace = self.grace_seconds
        return tally(ledgers, self.publications, grace_seconds=grace, second_of=self.second_of, **options)

    def reconcile(self, now: float) -> Account:
        """Reconcile all ledgers."""
        self.confirmed.update(mark for mark, save in self.saves.items() if save.confirmed)
        tallies = [self.tally(now=now), *self.parts]
        self.account = merged(tallies, names=self.names, confirmed=self.confirmed, announced=self.announced)
        return self.account

    def fault_counts(self) -> dict[Kind, int]:
        return dict(self.account.counts) if self.account else {}


def event_name(event: Mapping[str, Any]) -> str:
    """Return a name of an event for people: the dashboard's notifications have numbers and titles, all have an id."""
    if "notification_id" in event:
        return f"notification {event['notification_id']} ({event['verb']} {event['title']!r})"
    return f"{event['type']} {event.get('id', event['offset'])}"
