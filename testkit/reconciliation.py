"""The reconciliation of many ledgers: due deliveries that were lost, duplicated, reordered or late.

Owns only the arithmetic: no socket, no clock, no file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testkit.delivery_ledger import FAULTS_KEPT, EpochRecord, Kind, Ledger
from testkit.publications import Publications


@dataclass(frozen=True, slots=True)
class Fault:
    """A faulty delivery, with the event's name and, if there is one, the client's."""

    kind: Kind
    event: str
    client: str = ""
    detail: str = ""
    # The event's place in its stream, for processes that know its name.
    at: tuple[str, int] | None = None

    def __str__(self) -> str:
        at = f" at {self.client}" if self.client else ""
        return f"{self.kind}: {self.event}{at}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True)
class Account:
    """The result: the number of deliveries that were due and that arrived, and all faults."""

    clients: int
    due: int
    arrived: int
    published: int
    counts: Mapping[Kind, int]
    faults: Sequence[Fault]
    # Published before a page was left that had not received it, but within the grace: not due, and counted.
    in_grace: int = 0
    # Not read because the load test's own code failed.
    unread: int = 0
    # The number of faults by kind and second of publication, or UNKNOWN.
    seconds: Mapping[tuple[Kind, int], int] = field(default_factory=dict)
    # Published times audience, and the events that the clients read, both counted without ledgers.
    offered: int = 0
    read: int = 0
    unexplained: int = 0


# The second of a fault in an event that was never received, or that is one too many to be kept.
UNKNOWN = -1


@dataclass
class Tally:
    """An account to which ledgers are added one by one. Events have no names here; see `merged`."""

    clients: int = 0
    due: int = 0
    arrived: int = 0
    # Published when the tally was taken, but not received yet.
    on_the_way: int = 0
    in_grace: int = 0
    unread: int = 0
    # Arrivals of events that the client had already received.
    repeats: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    seconds: Counter[tuple[Kind, int]] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    # Only known of a whole tally.
    offered: int = 0
    read: int = 0
    unexplained: int = 0
    _kept: Counter[Kind] = field(default_factory=Counter)

    def add_ledger(
        self,
        ledger: Ledger,
        publications: Publications,
        *,
        grace_seconds: float = 0.0,
        as_it_stands: bool = False,
        second_of: Callable[[float], int] = int,
    ) -> None:
        """Add a ledger, which is due all events after its page's position, in this epoch and in all that followed.

        A page that was left is due the events published up to `grace_seconds` before, if it was ready since then. In
        mid-run (`as_it_stands`), a
        client is due the events up to its last arrival, and later ones are on their way.
        """
        self.clients += 1
        records = {record.epoch: record for record in ledger.epochs}
        first = publications.from_epoch(ledger.epochs[0].epoch) if ledger.epochs else ()
        for epoch in dict.fromkeys((*first, *records)):
            record = records.get(epoch) or EpochRecord(epoch, 0, 0)
            self._add_record(ledger, record, publications, grace_seconds, second_of, as_it_stands=as_it_stands)

    def _add_record(
        self,
        ledger: Ledger,
        record: EpochRecord,
        publications: Publications,
        grace_seconds: float,
        second_of: Callable[[float], int],
        *,
        as_it_stands: bool,
    ) -> None:
        left_at = math.inf if ledger.left_at is None else ledger.left_at
        epoch, after, reached = record.epoch, record.after, record.reached
        end = max(reached, publications.end_at(epoch, left_at))

        def note(kind: Kind, offsets: Iterable[int], detail: str = "") -> None:
            for offset in offsets:
                at = publications.time_of(epoch, offset)
                second = UNKNOWN if at is None or math.isinf(at) else second_of(at)
                self.note(Fault(kind, "", ledger.client, detail, (epoch, offset)), second)

        self.arrived += record.arrived
        if (faults := record.faults) is not None:
            for kind, offset, detail in faults.kept:
                note(kind, [offset], detail)
            # Those that are too many to be kept.
            for kind, count in (faults.counts - Counter(kind for kind, _, _ in faults.kept)).items():
                self.counts[kind] += count
                self.seconds[kind, UNKNOWN] += count
            self.repeats += faults.again.total()
        detail = f"{record.last_position or 'no position'}, {record.arrived} received"
        skipped = ledger.never_received(record, after + 1, reached)
        note(Kind.LOST, skipped, detail)
        if as_it_stands:
            self.on_the_way += 0 if ledger.is_closed else end - reached
            self.due += reached - after
            return
        behind = ledger.never_received(record, reached + 1, end)
        was_ready = not ledger.is_closed or (not ledger.is_offline and left_at - grace_seconds >= ledger.ready_at)
        due_until = max(reached, publications.end_at(epoch, left_at - grace_seconds)) if was_ready else reached
        unread = behind if ledger.has_failed else []
        in_grace = [] if ledger.has_failed else [n for n in behind if n > due_until]
        never = [] if ledger.has_failed else [n for n in behind if n <= due_until]
        note(Kind.MISSED if ledger.is_closed else Kind.LOST, never, detail)
        self.unread += len(unread)
        self.in_grace += len(in_grace)
        self.due += end - after - len(unread) - len(in_grace)
        note(Kind.FORGOTTEN, ledger.unavailable(record, end))

    def add(self, other: Tally) -> None:
        for name in ("clients", "due", "arrived", "on_the_way", "in_grace", "unread", "repeats", "offered", "read"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        # Differences of two processes must not make up for each other.
        self.unexplained = abs(self.unexplained) + abs(other.unexplained)
        self.counts.update(other.counts)
        self.seconds.update(other.seconds)
        self._keep(other.faults)

    def check_sum(self, offered: int, read: int) -> None:
        """Compare with published times audience and with the events that were read, both counted without ledgers."""
        self.offered, self.read = offered, read
        named = sum(self.counts[kind] for kind in (Kind.LOST, Kind.MISSED, Kind.FORGOTTEN))
        self.unexplained = offered - (read - self.repeats + named + self.in_grace + self.unread)

    def note(self, fault: Fault, second: int) -> None:
        self.counts[fault.kind] += 1
        self.seconds[fault.kind, second] += 1
        self._keep([fault])

    def _keep(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            # Many faults of one kind must not hide those of another.
            if self._kept[fault.kind] < FAULTS_KEPT:
                self._kept[fault.kind] += 1
                self.faults.append(fault)


def tally(ledgers: Iterable[Ledger], publications: Publications, **options: Any) -> Tally:
    """Add up all ledgers; for the options see `Tally.add_ledger`."""
    total = Tally()
    for ledger in ledgers:
        total.add_ledger(ledger, publications, **options)
    return total


def merged(
    tallies: Sequence[Tally],
    *,
    names: Mapping[tuple[str, int], str],
    confirmed: Iterable[str] = (),
    announced: Iterable[str] = (),
) -> Account:
    """Return one account of several processes' clients, in which events have names.

    `names` has the name of the event at (epoch, offset). `confirmed` has the marks of the saves that were answered
    with success, `announced` the marks that came back in an event. Both are compared over all processes: if no client
    of a process received an event, another process may know its name, and a client of another process may have
    received a save's event.
    """
    whole = Tally()
    for each in tallies:
        whole.add(each)
    unpublished = [Fault(Kind.UNPUBLISHED, f"save {mark!r}") for mark in sorted(set(confirmed) - set(announced))]
    if unpublished:
        whole.counts[Kind.UNPUBLISHED] = whole.seconds[Kind.UNPUBLISHED, UNKNOWN] = len(unpublished)
    faults = _first_of_each_kind([*(_named(fault, names) for fault in whole.faults), *unpublished[:FAULTS_KEPT]])
    return Account(
        *(whole.clients, whole.due, whole.arrived, len(names), dict(whole.counts), faults),
        **{name: getattr(whole, name) for name in ("in_grace", "unread", "offered", "read", "unexplained")},
        seconds=dict(whole.seconds),
    )


def _first_of_each_kind(faults: Sequence[Fault]) -> list[Fault]:
    """Return the faults with the first one of each kind before all others, because a report shows only some."""
    first = {fault.kind: i for i, fault in reversed(list(enumerate(faults)))}
    return sorted(faults, key=lambda fault: faults[first[fault.kind]] is not fault)


def _named(fault: Fault, names: Mapping[tuple[str, int], str]) -> Fault:
    if fault.at is None:
        return fault
    event = names.get(fault.at, f"event {fault.at[0]}:{fault.at[1]}, which no client received")
    return Fault(fault.kind, event, fault.client, fault.detail, fault.at)
