"""Refused connections: the beginning of an outage is waited for, because most outages are that short.

A server that restarts, or a restore that exchanges its database, refuses connections for some seconds. A page that
waits for it succeeds. In a longer outage pages must fail at once.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

BEGINNING_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.1


class Refusals:
    """The time from a refused connection to the next one that opens. Shared by threads."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._since: float | None = None

    def wait(self) -> bool:
        """Record a refusal. Sleep and return True if the connection should be tried again, False if not."""
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            if now - self._since >= BEGINNING_SECONDS:
                return False
        self._sleep(PAUSE_SECONDS)
        return True

    def end(self) -> None:
        """Record that a connection has opened."""
        with self._lock:
            self._since = None
