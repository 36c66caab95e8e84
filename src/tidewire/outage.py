"""What a process remembers of a Redis that is away, so that not every request waits to find out."""

import threading
import time
from collections.abc import Callable

# So long nobody asks; then one request does, for all of them.
SECONDS = 2.0


class Outage:
    """From a failure to the next answer. Threads share it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._until: float | None = None

    def begin(self) -> None:
        """Redis did not answer."""
        with self._lock:
            self._until = self._clock() + SECONDS

    def end(self) -> None:
        """Redis answered."""
        with self._lock:
            self._until = None

    def may_ask(self) -> bool:
        """Whether Redis may be asked now: in an outage by one caller in so many seconds."""
        with self._lock:
            if self._until is None:
                return True
            now = self._clock()
            if now < self._until:
                return False
            # The others do not wait for what this caller finds.
            self._until = now + SECONDS
            return True


# Where publishing fails, pages need not try. Not the other way round: the publisher is more patient than a page.
READS = Outage()
