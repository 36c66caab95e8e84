"""What every client was due and what it got, event by event: lost, duplicated, reordered, late.

Owns the arithmetic alone: no socket, no clock, no file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

# A fault is one line of a report; a run that lost everything needs no million of them. The counts stay exact.
FAULTS_KEPT = 200


class Kind(StrEnum):
    """What can be wrong with a delivery. The meaning is the sentence that a report prints."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.meaning = meaning
        return kind

    LOST = "lost", "due to a client that never got it"
    DUPLICATED = "duplicated", "reached a client more than once"
    REORDERED = "reordered", "reached a client after an event that follows it"
    LATE = "late", "reached a client later than the objective allows"
    FORGOTTEN = "forgotten", "the client was told that it cannot have it (recovered: false)"
    UNPUBLISHED = "unpublished", "a save that was answered with success and that nobody ever heard of"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that went wrong, with the event's name and, where there is one, the client's."""

    kind: Kind
    event: str
    client: str = ""
    detail: str = ""
    # Where the event stands in its stream, for whoever knows its name.
    at: tuple[str, int] | None = None

    def __str__(self) -> str:
        at = f" at {self.client}" if self.client else ""
        return f"{self.kind}: {self.event}{at}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event as one client got it, so many `seconds` after it was due; None where no clock tells.

    Due is when it was published or, where that was before, when the server said where the socket stands.
    """

    offset: int
    seconds: float | None


@dataclass(slots=True)
class Stay:
    """A client's time in one epoch of a stream: due is all after `after`, up to where the run ended or `until`."""

    epoch: str
    after: int
    until: int | None = None
    arrivals: list[Arrival] = field(default_factory=list)
    # The last that the server said of where its socket stands, for whoever looks for an event that was lost.
    told: str = ""

    @property
    def reached(self) -> int:
        """The furthest offset that it has seen."""
        return max((arrival.offset for arrival in self.arrivals), default=self.after)


class Ledger:
    """What one client is due and what reaches it, over all its sockets on one stream topic."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.stays: list[Stay] = []
        # (epoch, first, last) of what the server said it cannot have.
        self.forgotten: list[tuple[str, int, int]] = []
        self.position: tuple[str, int] | None = None

    def resumed(
        self, epoch: str, offset: int, *, recovered: bool, asked: tuple[str, int] | None, when: str = ""
    ) -> None:
        """The server said where this socket stands. `asked`: where the client said it was, before its first socket."""
        stay = self.stays[-1] if self.stays else None
        if stay is not None and stay.epoch == epoch:
            if not recovered and offset > stay.reached:
                self.forgotten.append((epoch, stay.reached + 1, offset))
            # With `recovered` the place that the server names is no news: due is what follows the last arrival.
        elif stay is None and recovered and asked is not None and asked[0] == epoch:
            # From where the page said, whatever the server makes of it.
            self._begin(epoch, asked[1])
        else:
            if stay is not None:
                stay.until = stay.reached
            if not recovered and asked is not None and asked[0] == epoch and offset > asked[1]:
                self.forgotten.append((epoch, asked[1] + 1, offset))
            self._begin(epoch, offset)
        self.stays[
            -1
        ].told = f"told {epoch}:{offset}{'' if recovered else ', not recovered'}{f', {when}' if when else ''}"
        self.position = (epoch, max(self.stays[-1].reached, offset if not recovered else 0))

    def received(self, offset: int, seconds: float | None) -> None:
        """An event reached the client, as often as it did."""
        if not self.stays:
            raise ValueError(f"{self.client}: event {offset} came before the server said where the socket stands")
        stay = self.stays[-1]
        stay.arrivals.append(Arrival(offset, seconds))
        assert self.position is not None
        self.position = (stay.epoch, max(self.position[1], offset))

    def left(self) -> None:
        """The client has gone for good: nothing that follows is due to it."""
        if self.stays and self.stays[-1].until is None:
            self.stays[-1].until = self.stays[-1].reached

    def _begin(self, epoch: str, after: int) -> None:
        self.stays.append(Stay(epoch, after))


@dataclass(frozen=True)
class Account:
    """The result: how many deliveries were due and came, and all that was wrong."""

    clients: int
    due: int
    arrived: int
    published: int
    counts: Mapping[Kind, int]
    faults: Sequence[Fault]


def reconcile(
    ledgers: Iterable[Ledger],
    *,
    names: Mapping[tuple[str, int], str],
    end: tuple[str, int] | None = None,
    late_seconds: float,
    confirmed: Iterable[str] = (),
    heard: Iterable[str] = (),
    known_ends: Mapping[str, int] | None = None,
) -> Account:
    """Compare what was due with what came.

    `names`: what to call the event at (epoch, offset). `end`: the stream's end as the server gives it, apart from any
    socket, after the last save; so an event that nobody got is missed as well. `confirmed`: marks of the saves that
    were answered with success; `heard`: those that came back in an event. `known_ends`: how far others know that each
    epoch went.
    """
    ledgers = list(ledgers)
    ends = _ends(ledgers, names, end)
    for epoch, offset in (known_ends or {}).items():
        ends[epoch] = max(ends.get(epoch, 0), offset)
    counts: Counter[Kind] = Counter()
    faults: list[Fault] = []
    due = arrived = 0

    for ledger in ledgers:
        told = {(epoch, offset) for epoch, first, last in ledger.forgotten for offset in range(first, last + 1)}
        for epoch, offset in sorted(told):
            counts[Kind.FORGOTTEN] += 1
            faults.append(_named(Kind.FORGOTTEN, names, (epoch, offset), ledger.client))
        for stay in ledger.stays:
            last = ends.get(stay.epoch, stay.reached) if stay.until is None else stay.until
            due += max(0, last - stay.after)
            arrived += len(stay.arrivals)
            for kind, offset, detail in _wrong(stay, last, late_seconds):
                if (stay.epoch, offset) in told:
                    continue
                counts[kind] += 1
                faults.append(_named(kind, names, (stay.epoch, offset), ledger.client, detail))
    unheard = unpublished(confirmed, heard)
    if unheard:
        counts[Kind.UNPUBLISHED] = len(unheard)
    return Account(len(ledgers), due, arrived, len(names), dict(counts), tuple([*faults, *unheard][:FAULTS_KEPT]))


def unpublished(confirmed: Iterable[str], heard: Iterable[str]) -> list[Fault]:
    return [Fault(Kind.UNPUBLISHED, f"save {mark!r}") for mark in sorted(set(confirmed) - set(heard))]


def together(
    accounts: Sequence[Account],
    *,
    names: Mapping[tuple[str, int], str],
    confirmed: Iterable[str] = (),
    heard: Iterable[str] = (),
) -> Account:
    """One account of several processes' clients.

    An event that none of one process's clients got has its name from another's, and a save that no client of its own
    process heard of may have been heard of elsewhere: so both are looked at here, over all.
    """
    counts: Counter[Kind] = Counter()
    for each in accounts:
        counts.update(each.counts)
    faults = [
        _named(fault.kind, names, fault.at, fault.client, fault.detail) if fault.at else fault
        for each in accounts
        for fault in each.faults
    ]
    unheard = unpublished(confirmed, heard)
    if unheard:
        counts[Kind.UNPUBLISHED] = len(unheard)
    return Account(
        sum(each.clients for each in accounts),
        sum(each.due for each in accounts),
        sum(each.arrived for each in accounts),
        len(names),
        dict(counts),
        tuple([*faults, *unheard][:FAULTS_KEPT]),
    )


def _named(
    kind: Kind, names: Mapping[tuple[str, int], str], at: tuple[str, int], client: str, detail: str = ""
) -> Fault:
    event = names.get(at, f"event {at[0]}:{at[1]}, which nobody got")
    return Fault(kind, event, client, detail, at)


def _ends(
    ledgers: Sequence[Ledger], names: Mapping[tuple[str, int], str], end: tuple[str, int] | None
) -> dict[str, int]:
    """Where each epoch ended: the furthest that anybody knows of."""
    ends = {end[0]: end[1]} if end else {}
    for epoch, offset in names:
        ends[epoch] = max(ends.get(epoch, 0), offset)
    for ledger in ledgers:
        for stay in ledger.stays:
            ends[stay.epoch] = max(ends.get(stay.epoch, 0), stay.reached)
    return ends


def _wrong(stay: Stay, last: int, late_seconds: float) -> Iterator[tuple[Kind, int, str]]:
    seen: Counter[int] = Counter()
    furthest = stay.after
    for arrival in stay.arrivals:
        seen[arrival.offset] += 1
        if seen[arrival.offset] > 1 or arrival.offset <= stay.after:
            yield Kind.DUPLICATED, arrival.offset, f"time {seen[arrival.offset]}"
        elif arrival.offset < furthest:
            yield Kind.REORDERED, arrival.offset, f"after offset {furthest}"
        furthest = max(furthest, arrival.offset)
        if arrival.seconds is not None and arrival.seconds > late_seconds:
            yield Kind.LATE, arrival.offset, f"after {arrival.seconds:.2f} s"
    for offset in range(stay.after + 1, last + 1):
        if not seen[offset]:
            yield Kind.LOST, offset, f"{stay.told}, {len(stay.arrivals)} came"
