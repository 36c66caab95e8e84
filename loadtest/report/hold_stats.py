"""The users' work while all were live: pages and handshakes by name, and open sockets. Reads no clock."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from loadtest.run.figures import Moment
from loadtest.run.run_state import HOLD, PHASES

HANDSHAKE = "handshake "


class Entry(Protocol):
    """A line of Locust's statistics."""

    @property
    def method(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def num_reqs_per_sec(self) -> Mapping[int, int]: ...


@dataclass(frozen=True)
class HoldStats:
    """The counts of the hold alone; `sockets` has the average number of open sockets by path."""

    seconds: int
    pages: Mapping[str, int]
    handshakes: Mapping[str, int]
    sockets: Mapping[str, float]

    @classmethod
    def of(
        cls,
        entries: Iterable[Entry],
        moments: Sequence[Moment],
        phases: Sequence[tuple[str, int]],
        *,
        started: float,
    ) -> HoldStats:
        """Return the counts; `started` is the start of the run on the clock by which Locust counts requests."""
        since, until = hold_span(phases)
        pages: Counter[str] = Counter()
        handshakes: Counter[str] = Counter()
        for entry in entries:
            count = sum(
                times for at, times in entry.num_reqs_per_sec.items() if since <= at - int(started) < until and times
            )
            if count and entry.method in ("GET", "POST"):
                pages[f"{entry.method} {entry.name}"] += count
            elif count and entry.name.startswith(HANDSHAKE):
                handshakes[entry.name.removeprefix(HANDSHAKE)] += count
        seen = [moment.paths for moment in moments if since <= moment.second < until]
        paths = sorted({path for paths in seen for path in paths})
        sockets = {path: sum(paths.get(path, 0) for paths in seen) / len(seen) for path in paths}
        return cls(until - since, dict(pages), dict(handshakes), sockets)


def hold_span(phases: Iterable[tuple[str, int]]) -> tuple[int, int]:
    """Return the first second of the hold and the one after its last, or the same second twice if there was no hold."""
    starts = [(name, second) for name, second in phases if name in PHASES]
    for (name, second), (_, following) in itertools.pairwise(starts):
        if name == HOLD and following > second:
            return second, following
    return 0, 0
