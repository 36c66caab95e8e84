"""The events that a client is due and receives, recorded one by one. Keeps the faults and not the deliveries.

Memory is bounded by the faults, because a run of minutes can have tens of millions of deliveries. No socket, no clock.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

# A fault is a line of a report, and a client that lost everything needs no million lines. The counts stay exact.
FAULTS_KEPT = 200


class Kind(StrEnum):
    """A kind of fault. The meaning is the sentence in a report."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.meaning = meaning
        return kind

    LOST = "lost", "due to a client that never got it"
    MISSED = "missed", "not received by a page that was left more than the grace later"
    DUPLICATED = "duplicated", "reached a client more than once"
    REORDERED = "reordered", "reached a client after an event that follows it"
    LATE = "late", "reached a client later than the objective allows"
    FORGOTTEN = "forgotten", "the client received recovered: false; the event is not available"
    UNPUBLISHED = "unpublished", "a save with a successful answer and without an event"
    DEAF = "deaf", "a socket whose subscription was not answered within the objective's time"


def parse_position(at: str) -> tuple[str, int]:
    """Return the epoch and the offset of a position `epoch.mark:offset`. Raises `ValueError`."""
    epoch, _, offset = at.rpartition(":")
    return epoch.partition(".")[0], int(offset)


@dataclass(slots=True)
class DeliveryFaults:
    """The faults of one record. Most records never have any."""

    # Skipped offsets that may still arrive.
    missing: set[int] = field(default_factory=set)
    # The number of times that each offset was received again.
    again: Counter[int] = field(default_factory=Counter)
    counts: Counter[Kind] = field(default_factory=Counter)
    kept: list[tuple[Kind, int, str]] = field(default_factory=list)

    def note(self, kind: Kind, offset: int, detail: str) -> None:
        self.counts[kind] += 1
        if len(self.kept) < FAULTS_KEPT:
            self.kept.append((kind, offset, detail))

    def offsets(self, kind: Kind) -> list[int]:
        """Return the offsets of the faults of a kind that were kept, each once."""
        return list(dict.fromkeys(offset for each, offset, _ in self.kept if each is kind))


@dataclass(slots=True)
class EpochRecord:
    """A client's time in one epoch of a stream. All events after `after` are due to it."""

    epoch: str
    after: int
    # The greatest offset that the client has received.
    reached: int
    arrived: int = 0
    faults: DeliveryFaults | None = None
    # The last position that the server sent for this record, for the analysis of lost events.
    last_position: str = ""

    def noted_faults(self) -> DeliveryFaults:
        if self.faults is None:
            self.faults = DeliveryFaults()
        return self.faults


class Ledger:
    """A client, over all its sockets on a stream topic.

    `page` is the position that the client's page was rendered with: all later events are due, whatever any socket
    receives. A client without a page is due the events after the first position that its socket receives.
    """

    __slots__ = (
        "_moved_to",
        "client",
        "epochs",
        "forgotten",
        "has_failed",
        "is_offline",
        "late_seconds",
        "left_at",
        "ready_at",
    )

    def __init__(self, client: str, page: tuple[str, int] | None = None, *, late_seconds: float = math.inf) -> None:
        self.client = client
        self.late_seconds = late_seconds
        self.epochs: list[EpochRecord] = []
        # (epoch, first, last) of events that the server declared to be unavailable.
        self.forgotten: list[tuple[str, int, int]] = []
        # The offset to which the server moved the client without the events before.
        self._moved_to = 0
        # The time at which the client left its page, and whether the load test's own code failed and left it.
        self.left_at: float | None = None
        self.has_failed = False
        # Whether the run or an orderly close has ended the connection, and the time since which there is a page and, if
        # its connection was ended so, another one. A page that is left within the grace of that is due nothing more.
        self.is_offline = False
        self.ready_at = -math.inf
        if page is not None:
            self._begin(*page)

    @property
    def is_closed(self) -> bool:
        return self.left_at is not None

    @property
    def position(self) -> tuple[str, int] | None:
        """The position from which the client would resume."""
        return (self.epochs[-1].epoch, max(self.epochs[-1].reached, self._moved_to)) if self.epochs else None

    def resumed(self, epoch: str, offset: int, *, recovered: bool, when: str = "") -> None:
        """Record the position that the server sent. In an epoch that has begun, all events remain due."""
        record = self.epochs[-1] if self.epochs else None
        if record is None:
            self._begin(epoch, offset)
        elif record.epoch == epoch:
            if not recovered and offset > record.reached:
                self.forgotten.append((epoch, record.reached + 1, offset))
        else:
            # The history was lost. The rest of the former epoch is unavailable, and so is the new one up to here.
            if not recovered:
                self.forgotten.append((record.epoch, record.reached + 1, sys.maxsize))
                self.forgotten.append((epoch, 1, offset))
            self._begin(epoch, 0)
        lacking = "" if recovered else ", not recovered"
        self.epochs[-1].last_position = f"position {epoch}:{offset}{lacking}{f', {when}' if when else ''}"
        self._moved_to = 0 if recovered else offset

    def received(self, offset: int, seconds: float | None) -> None:
        """Record each arrival of an event, `seconds` after it was due; None if no clock can measure it.

        An event is due at its publication, but not late before the server has sent the socket's position.
        """
        if not self.epochs:
            raise ValueError(f"{self.client}: event {offset} arrived before the server sent the position of the socket")
        record = self.epochs[-1]
        record.arrived += 1
        if offset == record.reached + 1:
            record.reached = offset
        else:
            self._out_of_order(record, offset)
        if seconds is not None and seconds > self.late_seconds and not self.is_forgotten(record.epoch, offset):
            record.noted_faults().note(Kind.LATE, offset, f"after {seconds:.2f} s")

    def came_online(self, at: float) -> None:
        """Record that a connection is there again. Nothing changes if it was not ended by order."""
        if self.is_offline:
            self.is_offline, self.ready_at = False, at

    def left(self, at: float) -> None:
        """Record that the client left for good: later events are not due to it."""
        if self.left_at is None:
            self.left_at = at

    def failed(self, at: float) -> None:
        """Record that the load test's own code stopped reading: that later events are missing is no fault of theirs."""
        self.has_failed = self.left_at is None
        self.left(at)

    def never_received(self, record: EpochRecord, first: int, last: int) -> list[int]:
        """Return the offsets of a range that the record lacks and that were not declared unavailable."""
        missing = [n for n in (record.faults.missing if record.faults else ()) if first <= n <= last]
        never = [*missing, *range(max(first, record.reached + 1), last + 1)]
        return sorted(offset for offset in never if not self.is_forgotten(record.epoch, offset))

    def unavailable(self, record: EpochRecord, end: int) -> list[int]:
        """Return the offsets up to `end` that the server declared unavailable and that did not arrive anyway."""
        ranges = [(first, min(last, end)) for epoch, first, last in self.forgotten if epoch == record.epoch]
        offsets = {offset for first, last in ranges for offset in range(max(first, record.after + 1), last + 1)}
        missing = record.faults.missing if record.faults else ()
        return sorted(offset for offset in offsets if offset > record.reached or offset in missing)

    def _begin(self, epoch: str, after: int) -> None:
        self.epochs.append(EpochRecord(epoch, after, after))

    def _out_of_order(self, record: EpochRecord, offset: int) -> None:
        faults = record.noted_faults()
        if offset > record.reached:
            faults.missing.update(range(record.reached + 1, offset))
            record.reached = offset
        elif offset in faults.missing:
            faults.missing.remove(offset)
            if not self.is_forgotten(record.epoch, offset):
                faults.note(Kind.REORDERED, offset, f"after offset {record.reached}")
        else:
            faults.again[offset] += 1
            if not self.is_forgotten(record.epoch, offset):
                time = faults.again[offset] + (offset > record.after)
                faults.note(Kind.DUPLICATED, offset, f"time {time}")

    def is_forgotten(self, epoch: str, offset: int) -> bool:
        return any(epoch == each and first <= offset <= last for each, first, last in self.forgotten)
