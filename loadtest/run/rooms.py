"""The accounts of numbered messages without a history, as in a chat: which were sent, and which each stay received.

A stay is a connection in a room. It is due each message that was sent to its room while it was open, except in the
first and last moments of the stay, when only the server could say whether the client was already or still a member.
A message in these moments that did not arrive is counted apart. Owns only arithmetic: no socket, no clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from testkit.delivery_ledger import FAULTS_KEPT, Kind
from testkit.reconciliation import UNKNOWN, Fault, Tally

# Longer than a handshake needs on a busy server from its answer until the server has added the client to its room.
GRACE_SECONDS = 1.0


class Series(NamedTuple):
    """The messages of a sender in a room, numbered from 1, or without a sender all of the room."""

    room: str
    sender: str

    def message(self, number: int) -> str:
        return f"message {number}{f' of {self.sender}' if self.sender else ''} in {self.room}"


class Numbered(NamedTuple):
    """A message as its receiver reads it. `sent` is its time by the generator's clock, if the text has one."""

    sender: str
    number: int
    sent: float | None = None


@dataclass(slots=True)
class Receipts:
    """The numbers that a stay has received of one series."""

    first: int = 0
    reached: int = 0
    # Numbers between the first and the greatest that have not arrived.
    missing: set[int] = field(default_factory=set)
    arrived: int = 0

    def add(self, number: int) -> Kind | None:
        """Record an arrival, and return its fault."""
        self.arrived += 1
        if not self.first:
            self.first = self.reached = number
        elif number > self.reached:
            self.missing.update(range(self.reached + 1, number))
            self.reached = number
        elif number in self.missing:
            self.missing.remove(number)
            return Kind.REORDERED
        elif number < self.first:
            self.missing.update(range(number + 1, self.first))
            self.first = number
            return Kind.REORDERED
        else:
            return Kind.DUPLICATED
        return None

    @property
    def distinct(self) -> int:
        return self.reached - self.first + 1 - len(self.missing) if self.first else 0


@dataclass(slots=True)
class Stay:
    """A client's time in a room, from its handshake to the end of its connection."""

    client: str
    room: str
    since: float
    until: float = math.inf
    receipts: defaultdict[str, Receipts] = field(default_factory=lambda: defaultdict(Receipts))
    counts: defaultdict[Kind, int] = field(default_factory=lambda: defaultdict(int))
    # Each with the time at which its message was sent.
    faults: list[tuple[Fault, float]] = field(default_factory=list)

    def received(self, message: Numbered, sent: float, seconds: float | None, late_seconds: float) -> None:
        """Record an arrival, `seconds` after it was sent. `sent` may be later if that is unknown."""
        if fault := self.receipts[message.sender].add(message.number):
            self._note(fault, message, sent, "")
        if seconds is not None and seconds > late_seconds:
            self._note(Kind.LATE, message, sent, f"after {seconds:.2f} s")

    def _note(self, kind: Kind, message: Numbered, sent: float, detail: str) -> None:
        self.counts[kind] += 1
        if len(self.faults) < FAULTS_KEPT:
            text = Series(self.room, message.sender).message(message.number)
            self.faults.append((Fault(kind, text, self.client, detail), sent))

    def add_faults(self, total: Tally, second_of: Callable[[float], int]) -> None:
        """Add the faults of all arrivals to a tally."""
        more = Counter(self.counts)
        for fault, sent in self.faults:
            total.note(fault, second_of(sent))
            more[fault.kind] -= 1
        # Those that are too many to be kept.
        for kind, count in (+more).items():
            total.counts[kind] += count
            total.seconds[kind, UNKNOWN] += count


class Log:
    """The numbers of a series with the time of each. Numbers may be recorded in any order."""

    def __init__(self) -> None:
        self.times: dict[int, float] = {}
        self._sorted: tuple[list[int], list[float]] | None = None

    def add(self, number: int, at: float) -> None:
        self.times.setdefault(number, at)
        self._sorted = None

    def withdraw(self, after: float) -> None:
        """Forget the messages that were sent after this time."""
        self.times = {number: at for number, at in self.times.items() if at <= after}
        self._sorted = None

    def between(self, since: float, until: float) -> list[int]:
        """Return the numbers that were sent from `since` to `until`."""
        if self._sorted is None:
            numbers = sorted(self.times)
            self._sorted = numbers, [self.times[number] for number in numbers]
        numbers, times = self._sorted
        return numbers[bisect_left(times, since) : bisect_right(times, until)]


class Rooms:
    """All stays and messages of this process, and the messages of other processes' clients."""

    def __init__(self, late_seconds: float = math.inf) -> None:
        self.late_seconds = late_seconds
        self._logs: defaultdict[str, dict[str, Log]] = defaultdict(dict)
        self._stays: list[Stay] = []
        # Messages of this process's clients that other processes were not notified of.
        self._unshared: list[tuple[Series, int, float]] = []
        # How often each client has been a sender.
        self._senders: Counter[str] = Counter()
        # The time of the newest message.
        self._newest = 0.0

    def enter(self, client: str, room: str, now: float) -> Stay:
        stay = Stay(client, room, now)
        self._stays.append(stay)
        return stay

    def new_sender(self, client: str) -> str:
        """Return a name under which a connection of the client numbers its messages from 1."""
        self._senders[client] += 1
        return f"{client}#{self._senders[client]}"

    def sent(self, series: Series, number: int, at: float, *, shared: bool = False) -> None:
        """Record that a client of this process or, if `shared`, of another one has sent a message."""
        self._log(series).add(number, at)
        self._newest = max(self._newest, at)
        if not shared:
            self._unshared.append((series, number, at))

    def received(self, stay: Stay, message: Numbered, now: float) -> None:
        """Record an arrival. A message that no client of this process has sent was sent now or before."""
        series = Series(stay.room, message.sender)
        if message.number not in self._log(series).times:
            at = now if message.sent is None else message.sent
            # The process of the sender shares a sender's messages.
            self.sent(series, message.number, at, shared=bool(message.sender))
        seconds = None if message.sent is None else now - message.sent
        stay.received(message, self._log(series).times[message.number], seconds, self.late_seconds)

    def withdraw(self, series: Series, after: float) -> None:
        """Forget a sender's messages after this time: its connection was lost here before the server had them all."""
        self._log(series).withdraw(after)
        self._unshared = [each for each in self._unshared if each[0] != series or each[2] <= after]

    def unshared(self, before: float) -> list[tuple[Series, int, float]]:
        """Return the messages before this time that were not returned here yet."""
        ready = [each for each in self._unshared if each[2] <= before]
        self._unshared = [each for each in self._unshared if each[2] > before]
        return ready

    def is_even(self) -> bool:
        """Return whether all that is due has arrived."""
        return not any(True for stay in self._stays for _ in self._lost(stay, math.inf))

    @property
    def published(self) -> Iterator[tuple[tuple[str, int], str]]:
        """Yield the place and the name of each known message."""
        for room, logs in self._logs.items():
            for sender, log in logs.items():
                series = Series(room, sender)
                for number in log.times:
                    yield (f"{room}/{sender}", number), series.message(number)

    def tally(self, *, as_it_stands: bool = False, second_of: Callable[[float], int] = int) -> Tally:
        """Return due and received messages. In mid-run, a message that is not late yet is on its way."""
        total = Tally()
        newest = self._newest - self.late_seconds if as_it_stands else math.inf
        for stay in self._stays:
            lost = list(self._lost(stay, newest))
            total.clients += 1
            total.arrived += sum(each.arrived for each in stay.receipts.values())
            total.due += sum(each.distinct for each in stay.receipts.values()) + len(lost)
            stay.add_faults(total, second_of)
            for series, number, detail in lost:
                sent = self._log(series).times.get(number)
                fault = Fault(Kind.LOST, series.message(number), stay.client, detail)
                total.note(fault, UNKNOWN if sent is None else second_of(sent))
        return total

    def excused(self) -> int:
        """Return the number of messages in the first and last moments of stays that did not arrive."""
        every = 0
        for stay in self._stays:
            for sender, log in self._logs[stay.room].items():
                receipts = stay.receipts.get(sender, Receipts())
                sure = set(log.between(stay.since + GRACE_SECONDS, stay.until - GRACE_SECONDS))
                every += sum(
                    not receipts.first <= number <= receipts.reached
                    for number in log.between(stay.since, stay.until)
                    if number not in sure
                )
        return every

    def _lost(self, stay: Stay, newest: float) -> Iterable[tuple[Series, int, str]]:
        since, until = stay.since + GRACE_SECONDS, min(stay.until - GRACE_SECONDS, newest)
        for sender, log in self._logs[stay.room].items():
            receipts = stay.receipts.get(sender)
            due = log.between(since, until)
            if receipts is None:
                never = due
            else:
                before, after = bisect_left(due, receipts.first), bisect_right(due, receipts.reached)
                never = [*due[:before], *sorted(receipts.missing), *due[after:]]
            for number in never:
                yield Series(stay.room, sender), number, f"{receipts.arrived if receipts else 0} received"

    def _log(self, series: Series) -> Log:
        return self._logs[series.room].setdefault(series.sender, Log())
