"""How far the servers' clock is from this host's, from what the load sees anyway. Asks nobody and sends nothing.

An event's stamp is the web service's clock. It cannot be from before the save that it tells of was sent, nor from after
it reached a client here: each save bounds the difference from above, each arrival from below (as Cristian's algorithm
does with one exchange), and what all of them leave is the estimate with its error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Clocks of two hosts drift by less than this share of the time; NTP slews by no more than five times as much.
DRIFT = 100e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """Seconds that the servers' clock is ahead of this host's, give or take `error`."""

    seconds: float
    error: float
    # By how much two of the servers' stamps contradict one another: they have clocks of their own.
    contradicted: float = 0.0

    def __str__(self) -> str:
        if math.isinf(self.error):
            return "unknown: no save of its own came back"
        said = f"the servers' is {self.seconds * 1000:+.1f} ms from its own, give or take {self.error * 1000:.1f} ms"
        return said + (f"; the servers' differ by {self.contradicted * 1000:.1f} ms" if self.contradicted else "")


SAME = Difference(0.0, 0.0)


class Clocks:
    """The bounds as they narrow. `one`: servers and generator are known to have one clock, and nothing is estimated."""

    def __init__(self, *, one: bool) -> None:
        self._one = one
        self._low, self._high = -math.inf, math.inf
        self._at = 0.0
        self._contradicted = 0.0
        # What is to be taken from a server's stamp, kept as a number because every delivery asks for it.
        self.ahead_seconds = 0.0
        self.is_known = one

    @property
    def difference(self) -> Difference:
        if self._one:
            return SAME
        return Difference(self.ahead_seconds, (self._high - self._low) / 2, self._contradicted)

    def arrived(self, stamped: float, now: float) -> None:
        """An event reached a client here; by its stamp the servers' clock is no further behind than this."""
        # Nearly no arrival is faster than the fastest before it.
        if stamped - now > self._low and not self._one:
            self._bound(low=stamped - now, now=now)

    def saved(self, sent: float, stamped: float, now: float) -> None:
        """The event of a save that was sent from here; its stamp cannot be from before."""
        if not self._one:
            self._bound(high=stamped - sent, now=now)

    def _bound(self, *, now: float, low: float = -math.inf, high: float = math.inf) -> None:
        drifted = max(0.0, now - self._at) * DRIFT if self._at else 0.0
        self._at = now
        self._low, self._high = max(self._low - drifted, low), min(self._high + drifted, high)
        if self._low > self._high:
            # Two servers, two clocks: what lies between their bounds is what is not known.
            self._contradicted = max(self._contradicted, self._low - self._high)
            self._low, self._high = self._high, self._low
        if not math.isinf(self._high - self._low):
            self.ahead_seconds = (self._low + self._high) / 2
            self.is_known = True
