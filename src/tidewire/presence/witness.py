"""Detects whether Redis has lost acknowledged writes of this process. No I/O.

A process numbers its writes. Redis stores the number of the last one beside the data, and refuses a write if that
number is lower than the last acknowledged one: the server is then a replica that lagged, an older snapshot, an emptied
or a different Redis. Redis keeps writes in order, so a Redis that has the last acknowledged write has all of them. A
refused process cannot know which writes were lost: it must take another name, under which nothing was acknowledged yet,
and write everything again.
"""

import uuid


class Witness:
    """The numbers of one process's writes, which must be made one after the other.

    `name` identifies the process to Redis; it changes if the process restarts or is refused.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self.renew()

    def renew(self) -> None:
        """Restart the numbers, under a name that is new to Redis."""
        self.name = f"{self._process}-{uuid.uuid4().hex[:8]}"
        # The number of the last write that Redis acknowledged; 0 if there is none under this name.
        self.acknowledged = 0
        self._sent = 0

    def next(self) -> int:
        """Return the number of the next write. Each attempt has its own, so that a late one cannot pass as the last."""
        self._sent += 1
        return self._sent

    def acknowledge(self, number: int) -> None:
        """Record that Redis has acknowledged this write."""
        self.acknowledged = number
