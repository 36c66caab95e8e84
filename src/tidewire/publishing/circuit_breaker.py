"""A circuit breaker: remembers that a server is unavailable, so that not every request has to wait for a timeout."""

import threading
import time
from collections.abc import Callable

# Skip the server for this long, then let one request probe it.
PAUSE_SECONDS = 2.0


class CircuitBreaker:
    """The time from a failure to the next success. Shared by threads.

    A failure counts only if the server answered no call for `silent_seconds`: one that answers others is only slow.
    """

    def __init__(self, *, silent_seconds: float = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._silent_seconds = silent_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._paused_until: float | None = None
        self._succeeded_at = float("-inf")

    def record_failure(self) -> None:
        """Record that the server did not answer."""
        with self._lock:
            now = self._clock()
            if now - self._succeeded_at >= self._silent_seconds:
                self._paused_until = now + PAUSE_SECONDS

    def record_success(self) -> None:
        """Record that the server answered."""
        with self._lock:
            self._paused_until = None
            self._succeeded_at = self._clock()

    @property
    def is_open(self) -> bool:
        """True from a failure to the next success."""
        return self._paused_until is not None

    def allow(self) -> bool:
        """Return whether the server may be called now: during an outage, by one caller per interval."""
        with self._lock:
            if self._paused_until is None:
                return True
            now = self._clock()
            if now < self._paused_until:
                return False
            # The other callers must not wait for the result of this one.
            self._paused_until = now + PAUSE_SECONDS
            return True


# A failure of the publisher lets pages skip Redis. The reverse does not hold, because the publisher has a longer
# timeout.
READS = CircuitBreaker()
