"""What one client is due and what reaches it, told event by event. Keeps what was wrong, and not what came.

Bounded by the faults and not by the deliveries, of which a run of minutes has tens of millions. No socket, no clock.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

# A fault is one line of a report; a client that lost everything needs no million of them. The counts stay exact.
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
    FORGOTTEN = "forgotten", "the client received recovered: false; the event is not available"
    UNPUBLISHED = "unpublished", "a save with a successful answer and without an event"


@dataclass(slots=True)
class Wrong:
    """What was wrong in one stay. Most stays never have one."""

    # Passed over, and not there yet.
    missing: set[int] = field(default_factory=set)
    # How often an offset came that had come before.
    again: Counter[int] = field(default_factory=Counter)
    counts: Counter[Kind] = field(default_factory=Counter)
    kept: list[tuple[Kind, int, str]] = field(default_factory=list)

    def note(self, kind: Kind, offset: int, detail: str) -> None:
        self.counts[kind] += 1
        if len(self.kept) < FAULTS_KEPT:
            self.kept.append((kind, offset, detail))


@dataclass(slots=True)
class Stay:
    """A client's time in one epoch of a stream: due is all after `after`, up to where the run ended or `until`."""

    epoch: str
    after: int
    # The furthest offset that it has seen.
    reached: int
    arrived: int = 0
    until: int | None = None
    wrong: Wrong | None = None
    # The last that the server said of where its socket stands, for whoever looks for an event that was lost.
    told: str = ""

    def noted(self) -> Wrong:
        if self.wrong is None:
            self.wrong = Wrong()
        return self.wrong


class Ledger:
    """One client, over all its sockets on one stream topic."""

    __slots__ = ("_placed", "client", "forgotten", "is_closed", "late_seconds", "stays")

    def __init__(self, client: str, *, late_seconds: float = math.inf) -> None:
        self.client = client
        self.late_seconds = late_seconds
        self.stays: list[Stay] = []
        # (epoch, first, last) of what the server said it cannot have.
        self.forgotten: list[tuple[str, int, int]] = []
        # Where the server put it without what was before.
        self._placed = 0
        self.is_closed = False

    @property
    def position(self) -> tuple[str, int] | None:
        """Where the client would resume from."""
        return (self.stays[-1].epoch, max(self.stays[-1].reached, self._placed)) if self.stays else None

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
        lacking = "" if recovered else ", not recovered"
        self.stays[-1].told = f"position {epoch}:{offset}{lacking}{f', {when}' if when else ''}"
        self._placed = 0 if recovered else offset

    def received(self, offset: int, seconds: float | None) -> None:
        """An event reached the client, as often as it did, so many `seconds` after it was due; None: no clock tells.

        Due is when it was published or, where that was before, when the server said where the socket stands.
        """
        if not self.stays:
            raise ValueError(f"{self.client}: event {offset} arrived before the server sent the position of the socket")
        stay = self.stays[-1]
        stay.arrived += 1
        if offset == stay.reached + 1:
            stay.reached = offset
        else:
            self._out_of_turn(stay, offset)
        if seconds is not None and seconds > self.late_seconds and not self._is_forgotten(stay.epoch, offset):
            stay.noted().note(Kind.LATE, offset, f"after {seconds:.2f} s")

    def left(self) -> None:
        """The client has gone for good: nothing that follows is due to it."""
        self.is_closed = True
        if self.stays and self.stays[-1].until is None:
            self.stays[-1].until = self.stays[-1].reached

    def lost(self, stay: Stay, last: int) -> list[int]:
        """Offsets up to this one that are due to a stay and that it never got."""
        never = [*(stay.wrong.missing if stay.wrong else ()), *range(stay.reached + 1, last + 1)]
        return sorted(offset for offset in never if not self._is_forgotten(stay.epoch, offset))

    def _begin(self, epoch: str, after: int) -> None:
        self.stays.append(Stay(epoch, after, after))

    def _out_of_turn(self, stay: Stay, offset: int) -> None:
        wrong = stay.noted()
        if offset > stay.reached:
            wrong.missing.update(range(stay.reached + 1, offset))
            stay.reached = offset
        elif offset in wrong.missing:
            wrong.missing.remove(offset)
            if not self._is_forgotten(stay.epoch, offset):
                wrong.note(Kind.REORDERED, offset, f"after offset {stay.reached}")
        else:
            wrong.again[offset] += 1
            if not self._is_forgotten(stay.epoch, offset):
                time = wrong.again[offset] + (offset > stay.after)
                wrong.note(Kind.DUPLICATED, offset, f"time {time}")

    def _is_forgotten(self, epoch: str, offset: int) -> bool:
        return any(epoch == each and first <= offset <= last for each, first, last in self.forgotten)
