"""The reconciliation of many ledgers: due deliveries that were lost, duplicated, reordered or late.

Owns only the arithmetic: no socket, no clock, no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from testkit.delivery_ledger import FAULTS_KEPT, Kind, Ledger


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


@dataclass
class Tally:
    """An account to which ledgers are added one by one. Events have no names here; see `merged`."""

    clients: int = 0
    due: int = 0
    arrived: int = 0
    # Published when the tally was taken, but not received yet.
    on_the_way: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    def add_ledger(self, ledger: Ledger, ends: Mapping[str, int], *, as_it_stands: bool = False) -> None:
        """Add a ledger. An open record is due events up to its epoch's end or, in mid-run, to its last arrival."""
        self.clients += 1
        for epoch, first, last in ledger.forgotten:
            for offset in range(first, last + 1):
                self._note(Kind.FORGOTTEN, (epoch, offset), ledger.client)
        for record in ledger.epochs:
            last = ends.get(record.epoch, record.reached) if record.until is None else record.until
            if as_it_stands:
                self.on_the_way += max(0, last - record.reached)
                last = record.reached
            self.due += max(0, last - record.after)
            self.arrived += record.arrived
            if (faults := record.faults) is not None:
                self.counts.update(faults.counts)
                self._keep(Fault(kind, "", ledger.client, why, (record.epoch, n)) for kind, n, why in faults.kept)
            for offset in ledger.lost(record, last):
                detail = f"{record.last_position}, {record.arrived} received"
                self._note(Kind.LOST, (record.epoch, offset), ledger.client, detail)

    def add(self, other: Tally) -> None:
        self.clients += other.clients
        self.due += other.due
        self.arrived += other.arrived
        self.on_the_way += other.on_the_way
        self.counts.update(other.counts)
        self._keep(other.faults)

    def _note(self, kind: Kind, at: tuple[str, int], client: str, detail: str = "") -> None:
        self.counts[kind] += 1
        self._keep([Fault(kind, "", client, detail, at)])

    def _keep(self, faults: Iterable[Fault]) -> None:
        for fault in faults:
            if len(self.faults) >= FAULTS_KEPT:
                return
            self.faults.append(fault)


def tally(ledgers: Iterable[Ledger], ends: Mapping[str, int], *, as_it_stands: bool = False) -> Tally:
    """Add up all ledgers. `ends` has the greatest known offset of each epoch."""
    total = Tally()
    for ledger in ledgers:
        total.add_ledger(ledger, ends, as_it_stands=as_it_stands)
    return total


def stream_ends(
    ledgers: Iterable[Ledger],
    known: Mapping[str, int] | None = None,
    further: Iterable[tuple[str, int]] = (),
    end: tuple[str, int] | None = None,
) -> dict[str, int]:
    """Return the greatest known offset of each epoch.

    `end` is the end of the stream that the server reported after the last save, on a page and not to a socket. An
    event that no client received is therefore missed as well.
    """
    ends = dict(known or {})
    reached = ((record.epoch, record.reached) for ledger in ledgers for record in ledger.epochs)
    for epoch, offset in (*([end] if end else []), *further, *reached):
        ends[epoch] = max(ends.get(epoch, 0), offset)
    return ends


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
        whole.counts[Kind.UNPUBLISHED] = len(unpublished)
    faults = (*(_named(fault, names) for fault in whole.faults), *unpublished)[:FAULTS_KEPT]
    return Account(whole.clients, whole.due, whole.arrived, len(names), dict(whole.counts), faults)


def _named(fault: Fault, names: Mapping[tuple[str, int], str]) -> Fault:
    if fault.at is None:
        return fault
    event = names.get(fault.at, f"event {fault.at[0]}:{fault.at[1]}, which no client received")
    return Fault(fault.kind, event, fault.client, fault.detail, fault.at)
