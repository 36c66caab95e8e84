"""All readings of the machine that a run's processes share: services, nodes that end, and foreign load."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence

from loadtest.run.node_restarts import Nodes
from loadtest.run.run_state import ENDED, Run
from loadtest.run.service_watch import ForeignLoad, ServiceWatch
from testkit.service_usage import Services, Usage

HOST = platform.node()


class MachineWatch:
    """`services` are None if the product does not run on this machine, or is not known to."""

    def __init__(self, run: Run, services: Services | None, nodes: Nodes | None) -> None:
        self._run = run
        self._services = services
        self._nodes = nodes
        self._watch = ServiceWatch(services) if services else None
        self._workers: Sequence[int] = ()
        self._foreign = ForeignLoad(self._own, time.monotonic)

    def read(self, workers: Iterable[tuple[str, int]]) -> tuple[Usage, float]:
        """Return the use of the services and the cores that foreign processes used, since the previous reading.

        `workers` are the host and the process of each worker of the run.
        """
        self._workers = [pid for host, pid in workers if host == HOST]
        usage = self._services.read() if self._services else Usage({}, {})
        run = self._run
        if self._watch is not None and run.phase != ENDED:
            self._watch.look(run.second, self._nodes.has_ended if self._nodes else lambda _name, _pid: False)
            run.ended_services = self._watch.ended
        return usage, self._foreign.read()

    def _own(self) -> list[int]:
        return [os.getpid(), *self._workers, *([self._services.root] if self._services else [])]
