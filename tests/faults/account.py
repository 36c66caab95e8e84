"""The comparison of events due to each client with those that its page showed, without sockets and without a clock."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from testkit.delivery_ledger import Kind, Ledger

EXAMPLES = 10


@dataclass
class Account:
    """Sums over clients. A page never showed `lost` events; it read `reloaded` events from the database instead."""

    clients: int = 0
    due: int = 0
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    reloaded: int = 0
    not_recovered: int = 0
    # Repeats that the page drops by their id, so that they are never shown.
    repeats: int = 0
    examples: list[str] = field(default_factory=list)

    def __add__(self, other: Account) -> Account:
        sums = {
            name: value + getattr(other, name) for name, value in asdict(self).items() if not isinstance(value, list)
        }
        return Account(**sums, examples=(self.examples + other.examples)[:EXAMPLES])

    @classmethod
    def of(cls, client: str, shown: Sequence[int], due: Sequence[int], *, until: int | None = None) -> Self:
        """Return the account of a client. `due`: ids in order; those after `until`, its leave, are not due."""
        account = cls(clients=1)
        account._add(client, shown, [each for each in due if until is None or each <= until])
        return account

    def _add(self, client: str, shown: Sequence[int], due: Sequence[int]) -> None:
        # The ledger expects offsets without gaps: the place of each event among those that are due.
        offsets = {each: offset for offset, each in enumerate(due, 1)}
        ledger = Ledger(client, ("", 0))
        for each in shown:
            if each in offsets:
                ledger.received(offsets[each], None)
        [record] = ledger.epochs
        lost = ledger.never_received(record, 1, len(due))
        faults = record.noted_faults()
        self.due = len(due)
        self.received = len(due) - len(lost)
        self.lost = len(lost)
        self.duplicated = faults.counts[Kind.DUPLICATED]
        self.reordered = faults.counts[Kind.REORDERED]
        for kind, offsets in (
            (Kind.LOST, lost),
            *((kind, faults.offsets(kind)) for kind in (Kind.DUPLICATED, Kind.REORDERED)),
        ):
            if offsets:
                self.examples.append(f"{client}: {kind} {_some([due[offset - 1] for offset in offsets])}")

    def reload(self, reloads: Sequence[float], missing: Iterable[float]) -> None:
        """Count events that the page read from the database at these times: those committed before the last of them."""
        self.not_recovered = len(reloads)
        had = bisect.bisect_left(sorted(missing), max(reloads, default=0.0))
        self.reloaded += had
        self.lost -= had

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def peak_per_second(times: Iterable[float]) -> int:
    """Return the maximum number of times within any interval of one second."""
    ordered = sorted(times)
    peak = first = 0
    for last, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        peak = max(peak, last - first + 1)
    return peak


def unevenness(times: Iterable[float], start: float, seconds: float) -> float:
    """Return the distance of the times from an even spread: the greatest gap of shares (Kolmogorov-Smirnov)."""
    ordered = sorted(times)
    count = len(ordered)
    if not count:
        return 1.0
    gaps = (abs((i + 0.5) / count - (at - start) / seconds) for i, at in enumerate(ordered))
    return max(gaps)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile, or 0 if there are no values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


def _some(events: Sequence[int]) -> str:
    head = ", ".join(map(str, events[:5]))
    return head if len(events) <= 5 else f"{head} and {len(events) - 5} more"
