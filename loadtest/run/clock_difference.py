"""The difference between the servers' clock and this host's, estimated from the load itself without further requests.

An event has a timestamp by the web service's clock. The timestamp cannot be earlier than the request of its save, nor
later than its arrival at a client here. Each save therefore bounds the difference from above, and each arrival from
below (as in Cristian's algorithm with one exchange). The remaining interval is the estimate with its error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# Clocks of two hosts drift by less than this share of the time; NTP may slew a clock by five times as much.
DRIFT = 100e-6


@dataclass(frozen=True, slots=True)
class Difference:
    """Seconds by which the servers' clock is ahead of this host's, with an error of up to `error`."""

    seconds: float
    error: float
    # Greatest contradiction of two of the servers' timestamps, which shows that the servers have different clocks.
    contradicted: float = 0.0

    def __str__(self) -> str:
        if math.isinf(self.error):
            return "unknown: no save of its own came back"
        text = f"the servers' is {self.seconds * 1000:+.1f} ms from its own, give or take {self.error * 1000:.1f} ms"
        return text + (f"; the servers' differ by {self.contradicted * 1000:.1f} ms" if self.contradicted else "")


SAME = Difference(0.0, 0.0)


class Clocks:
    """The bounds, which narrow with time. If `one`, servers and generator share a clock, and nothing is estimated."""

    def __init__(self, *, one: bool) -> None:
        self._one = one
        self._low, self._high = -math.inf, math.inf
        self._at = 0.0
        self._contradicted = 0.0
        # To be subtracted from a server's timestamp; kept as a number because every delivery needs it.
        self.ahead_seconds = 0.0
        self.is_known = one

    @property
    def difference(self) -> Difference:
        if self._one:
            return SAME
        return Difference(self.ahead_seconds, (self._high - self._low) / 2, self._contradicted)

    def arrived(self, stamped: float, now: float) -> None:
        """Bound the difference from below: an event cannot arrive here before the time of its timestamp."""
        # Hardly any arrival can be faster than the fastest before it.
        if stamped - now > self._low and not self._one:
            self._bound(low=stamped - now, now=now)

    def saved(self, sent: float, stamped: float, now: float) -> None:
        """Bound the difference from above: an event cannot have an earlier timestamp than the request of its save."""
        if not self._one:
            self._bound(high=stamped - sent, now=now)

    def _bound(self, *, now: float, low: float = -math.inf, high: float = math.inf) -> None:
        drifted = max(0.0, now - self._at) * DRIFT if self._at else 0.0
        self._at = now
        self._low, self._high = max(self._low - drifted, low), min(self._high + drifted, high)
        if self._low > self._high:
            # Two servers with two clocks: the difference is unknown within the contradiction.
            self._contradicted = max(self._contradicted, self._low - self._high)
            self._low, self._high = self._high, self._low
        if not math.isinf(self._high - self._low):
            self.ahead_seconds = (self._low + self._high) / 2
            self.is_known = True
