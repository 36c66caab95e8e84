"""Whether this is still the Redis that acknowledged our writes. No I/O.

A process numbers its writes. Redis keeps the number of the last one beside the data, and refuses a write where that
number is lower than that of the last acknowledged write: it is a replica that lagged, an older snapshot, an emptied or
another Redis. Redis keeps writes in their order, so a Redis that has the last acknowledged write has all of them. A
process that is refused cannot know what was lost: it takes another name, under which nothing was acknowledged yet, and
writes everything again.
"""

import uuid


class Witness:
    """The numbers of one process's writes, which are made one after the other.

    `name` is the process, as Redis knows it; a process that starts again, or is refused, has another one.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self.renew()

    def renew(self) -> None:
        """Begin again, under a name that no Redis knows."""
        self.name = f"{self._process}-{uuid.uuid4().hex[:8]}"
        # The number of the last write that Redis acknowledged; 0: none under this name.
        self.acknowledged = 0
        self._sent = 0

    def next(self) -> int:
        """The number of the next write. Every attempt has one of its own, so a late one is never taken for the last."""
        self._sent += 1
        return self._sent

    def acknowledge(self, number: int) -> None:
        """Redis has acknowledged this write."""
        self.acknowledged = number
