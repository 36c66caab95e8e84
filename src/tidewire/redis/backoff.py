"""Delays between retries."""

import random


class Backoff:
    """Delays that double with each failure up to a maximum, each reduced at random by up to a half.

    The jitter prevents the nodes of a cluster from reconnecting to Redis at the same time (Brooker, "Exponential
    Backoff And Jitter"). At least half of the delay always remains, so that a retry loop cannot become tight.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._next_seconds = first_seconds

    def next_delay(self) -> float:
        """Return the number of seconds to wait before the next attempt, after a failure."""
        seconds = self._next_seconds
        self._next_seconds = min(seconds * 2, self._longest_seconds)
        return seconds * (1 - random.random() / 2)  # noqa: S311  # no secret

    def reset(self) -> None:
        """Reset the delay for the next failure."""
        self._next_seconds = self._first_seconds
