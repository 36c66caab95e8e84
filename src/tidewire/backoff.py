"""How long to wait before something that failed is tried again."""

import random


class Backoff:
    """Waits that double from failure to failure up to a bound, each shortened at random by up to a half.

    The jitter keeps the nodes of a cluster from coming back to Redis all at once (Brooker, "Exponential Backoff And
    Jitter"); half of the wait always remains, so that nobody tries in a tight loop.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def failed(self) -> float:
        """Seconds to wait now."""
        seconds = self._next_seconds
        self._next_seconds = min(seconds * 2, self._longest_seconds)
        return seconds * (1 - random.random() / 2)  # noqa: S311  # no secret

    def succeeded(self) -> None:
        """Begin anew at the next failure."""
        self._next_seconds = self._first_seconds
