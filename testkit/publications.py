"""The times at which a stream's events were published, as far as pages and clients show them. No socket, no clock."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Mapping


class Epoch:
    """The known offsets of an epoch with their times, each the real one or a later one.

    An offset between two known ones was published with the later one at the latest.
    """

    def __init__(self) -> None:
        self.times: dict[int, float] = {}
        self.greatest = 0
        # Times in rising order, and the greatest offset that was published by each.
        self._sorted_times: list[float] = []
        self._greatest: list[int] = []

    def add(self, offset: int, at: float) -> None:
        if at < self.times.get(offset, math.inf):
            self.times[offset] = at
            self.greatest = max(self.greatest, offset)
            self._sorted_times = []

    def end_at(self, until: float) -> int:
        """Return the greatest offset that was published by then, or 0."""
        if until == math.inf:
            return self.greatest
        if not self._sorted_times:
            pairs = sorted((at, offset) for offset, at in self.times.items())
            self._sorted_times = [at for at, _ in pairs]
            self._greatest = list(itertools.accumulate((offset for _, offset in pairs), max))
        place = bisect.bisect_right(self._sorted_times, until)
        return self._greatest[place - 1] if place else 0


class Publications:
    """All epochs of a stream, in the order in which they became known."""

    def __init__(self, ends: Mapping[str, int] | None = None) -> None:
        self._epochs: dict[str, Epoch] = {}
        for epoch, offset in (ends or {}).items():
            self.add(epoch, offset, -math.inf)

    def add(self, epoch: str, offset: int, at: float) -> None:
        """Record that an event was published by a time of this process's clock. An offset of 0 begins an epoch."""
        known = self._epochs.setdefault(epoch, Epoch())
        if offset:
            known.add(offset, at)

    def time_of(self, epoch: str, offset: int) -> float | None:
        known = self._epochs.get(epoch)
        return known.times.get(offset) if known else None

    def end_at(self, epoch: str, until: float = math.inf) -> int:
        """Return the greatest offset of an epoch that was published by then, or 0."""
        known = self._epochs.get(epoch)
        return known.end_at(until) if known else 0

    def from_epoch(self, epoch: str) -> Iterator[str]:
        """Yield this epoch and all that followed it."""
        if epoch not in self._epochs:
            yield epoch
            return
        yield from itertools.dropwhile(lambda each: each != epoch, self._epochs)

    def offered(self, epoch: str, after: int, until: float = math.inf) -> int:
        """Return the number of events published after a position, up to a time."""
        return sum(
            max(0, self.end_at(each, until) - (after if each == epoch else 0)) for each in self.from_epoch(epoch)
        )

    @property
    def ends(self) -> dict[str, int]:
        return {epoch: known.greatest for epoch, known in self._epochs.items()}
