"""The accounts of a run in one process: ledgers, published events, saves, and their reconciliation. No clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loadtest.run.rooms import Rooms
from testkit.delivery_ledger import Kind, Ledger
from testkit.reconciliation import Account, Tally, merged, stream_ends, tally


@dataclass
class Save:
    """A save, known by its mark: its intended time, its actual time, and whether the page confirmed it."""

    intended: float
    sent: float = 0.0
    confirmed: bool = False


@dataclass
class Accounts:
    ledgers: list[Ledger] = field(default_factory=list)
    # Events of pages that were left, which are already reconciled.
    closed_pages: Tally = field(default_factory=Tally)
    # Numbered messages of products without a history.
    rooms: Rooms = field(default_factory=Rooms)
    # The name of each event by epoch and offset.
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    saves: dict[str, Save] = field(default_factory=dict)
    # Saves in progress, and saves that met a newer version.
    in_flight: int = 0
    conflicts: int = 0
    # The marks of saves that were confirmed, and of saves whose event a client received.
    confirmed: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)
    # The greatest offset that any client has received, and the greatest of each epoch that this process knows.
    furthest: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    # The end of the stream that a page has reported after the last save.
    end: tuple[str, int] | None = None
    # In a process that only gives commands: the results of the other processes, which reconcile their own ledgers.
    parts: list[Tally] = field(default_factory=list)
    account: Account | None = None

    def published(self, epoch: str, event: dict[str, Any]) -> None:
        """Record that a client received this event: the event gets a name, and its save counts as announced."""
        at = (epoch, event["offset"])
        if at not in self.names:
            self.names[at] = event_name(event)
            if event.get("verb") == "updated":
                self.announced.add(event["title"])
        self.ends[epoch] = max(self.ends.get(epoch, 0), event["offset"])
        self.furthest = max(self.furthest, event["offset"])

    def save_of(self, event: dict[str, Any]) -> Save | None:
        """Return the save that an event announces. Other events may carry the title of a save, but announce none."""
        return self.saves.get(event["title"]) if event.get("verb") == "updated" else None

    def is_even(self) -> bool:
        """Return whether every client has received all events that are known to be due."""
        if self.end is None or self.in_flight:
            return False
        open_records = [each.epochs[-1] for each in self.ledgers if each.epochs and each.epochs[-1].until is None]
        if any(record.reached < self.end[1] for record in open_records if record.epoch == self.end[0]):
            return False
        return self.rooms.is_even()

    def reconcile_closed_pages(self) -> None:
        """Reconcile the ledgers of pages that were left, and discard these ledgers."""
        for ledger in self.ledgers:
            if ledger.is_closed:
                self.closed_pages.add_ledger(ledger, {})
        self.ledgers = [ledger for ledger in self.ledgers if not ledger.is_closed]

    def tally(self, ends: Mapping[str, int] | None = None, *, as_it_stands: bool = False) -> Tally:
        """Return this process's due and received events. `ends` has the offsets that other processes know."""
        self.reconcile_closed_pages()
        known = stream_ends(self.ledgers, self.ends, (ends or {}).items(), self.end)
        total = tally(self.ledgers, known, as_it_stands=as_it_stands)
        total.add(self.closed_pages)
        total.add(self.rooms.tally(as_it_stands=as_it_stands))
        if not as_it_stands:
            self.names.update(self.rooms.published)
        return total

    def reconcile(self) -> Account:
        """Reconcile all ledgers."""
        self.confirmed.update(mark for mark, save in self.saves.items() if save.confirmed)
        tallies = [self.tally(), *self.parts]
        self.account = merged(tallies, names=self.names, confirmed=self.confirmed, announced=self.announced)
        return self.account

    def fault_counts(self) -> dict[Kind, int]:
        return dict(self.account.counts) if self.account else {}


def event_name(event: Mapping[str, Any]) -> str:
    """Return a name of an event for people: the dashboard's notifications have numbers and titles, all have an id."""
    if "notification_id" in event:
        return f"notification {event['notification_id']} ({event['verb']} {event['title']!r})"
    return f"{event['type']} {event.get('id', event['offset'])}"
