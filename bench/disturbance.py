"""The share of the machine that other processes took during a step, so that disturbed figures can be recognised."""

from __future__ import annotations

import os
import resource
import time

from testkit.process_usage import Busy, cpu_seconds


class Watch:
    """Compares the work of all cores with the bench's own. All children of a step must end within the step."""

    def __init__(self, redis_pid: int) -> None:
        self._redis_pid = redis_pid
        self._began = time.monotonic()
        self._busy = Busy.now()
        self._own = self._own_seconds()

    def disturbance(self) -> float:
        """Return the share of the machine's time that other processes or other guests took since the start."""
        seconds = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        busy = Busy.now()
        foreign = busy.busy - self._busy.busy - (self._own_seconds() - self._own) + busy.stolen - self._busy.stolen
        return max(foreign / seconds, 0.0)

    def _own_seconds(self) -> float:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in used) + cpu_seconds([self._redis_pid])
