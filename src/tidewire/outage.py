"""A circuit breaker: remembers that Redis is unavailable, so that not every request has to wait for a timeout."""

import threading
import time
from collections.abc import Callable

# Skip Redis for this long, then let one request probe it.
SECONDS = 2.0


class Outage:
    """The time from a failure to the next success. Shared by threads."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None

    def begin(self) -> None:
        """Record that Redis did not answer."""
        with self._lock:
            self._until = self._clock() + SECONDS

    def end(self) -> None:
        """Record that Redis answered."""
        with self._lock:
            self._until = None

    def may_ask(self) -> bool:
        """Return whether Redis may be called now: during an outage, by one caller per interval."""
        with self._lock:
            if self._until is None:
                return True
            now = self._clock()
            if now < self._until:
                return False
            # The other callers must not wait for the result of this one.
            self._until = now + SECONDS
            return True


# A failure of the publisher lets pages skip Redis. The reverse does not hold, because the publisher has a longer
# timeout.
READS = Outage()
