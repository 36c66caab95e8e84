"""The stack under test: its processes, cheap clients, and the CPU use of both at rest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from capacity.idle_sockets import IdleSocket, IdleSockets
from testkit.process_usage import cpu_seconds, process_tree

if TYPE_CHECKING:
    from tests.stack import Stack

# Longer than the grace of three seconds, after which a member has left, plus a touch and a coalesced reading.
PRESENCE_WAIT_SECONDS = 5.0
# A socket stays open while this many others come, so that presence can announce it.
STAY = 20


@dataclass(frozen=True)
class Sizes:
    """Repetitions of each action: enough to exceed the use of the processes at rest."""

    rest_seconds: float = 12.0
    idle_seconds: float = 20.0
    users: int = 300
    # Sockets of each user on each of two paths, so that a node has the intended number of sockets.
    tabs: int = 8
    connects: int = 240
    connects_per_second: float = 40.0
    pages: int = 24
    saves: int = 60
    logins: int = 5
    editors: int = 40

    def __str__(self) -> str:
        return (
            f"{self.users} users of {self.tabs} tabs, {self.connects} connects of each kind, {self.saves} saves,"
            f" {self.pages} pages"
        )


@dataclass(frozen=True)
class Used:
    """CPU seconds by service, within `seconds`."""

    seconds: float
    cpu: Mapping[str, float]

    def beyond(self, *rates: Mapping[str, float]) -> dict[str, float]:
        """Return the CPU seconds beyond these rates, which are in cores by service."""
        return {
            name: used - self.seconds * sum(rate.get(name, 0.0) for rate in rates) for name, used in self.cpu.items()
        }

    @property
    def cores(self) -> dict[str, float]:
        return {name: used / self.seconds for name, used in self.cpu.items()}


def nothing(seconds: float) -> Callable[[], None]:
    """Return work that only takes time, so that the use of CPU in the meantime can be measured."""
    return lambda: time.sleep(seconds)


def wait_for_presence() -> None:
    """Wait until presence is up to date. By the clock, because a client cannot see the end of a grace."""
    time.sleep(PRESENCE_WAIT_SECONDS)


@dataclass
class StackUnderTest:
    """The processes, the clients, and the CPU use at rest and of each open socket."""

    stack: Stack
    clients: IdleSockets
    cookies: Sequence[str]
    sizes: Sizes
    slugs: Sequence[str] = ()
    rest: Mapping[str, float] = field(default_factory=dict)
    socket: Mapping[str, float] = field(default_factory=dict)
    resting: int = 0

    def measure(self, work: Callable[[], None], times: int = 1) -> dict[str, float]:
        """Return the CPU seconds that the work takes once, by service, beyond rest and open sockets."""

        def often() -> None:
            for _ in range(times):
                work()

        used = self.used(often)
        # The use at rest includes the few sockets that are open then.
        count = len(self.clients.sockets) - self.resting
        own = used.beyond(self.rest, {name: cores * count for name, cores in self.socket.items()})
        return {name: seconds / times for name, seconds in own.items()}

    def each_open(self, sockets: int) -> dict[str, float]:
        """Return the cores by service that a socket uses, from this many open sockets beyond those at rest."""
        cores = self.used(nothing(self.sizes.idle_seconds)).beyond(self.rest)
        return {name: used / self.sizes.idle_seconds / sockets for name, used in cores.items()}

    def used(self, work: Callable[[], None]) -> Used:
        before, began = self._cpu(), time.monotonic()
        work()
        after, seconds = self._cpu(), time.monotonic() - began
        self.clients.check()
        return Used(seconds, {name: after[name] - before[name] for name in after})

    def _cpu(self) -> dict[str, float]:
        seconds: dict[str, float] = {}
        for running in self.stack.processes.values():
            if running.runs:
                used = cpu_seconds(process_tree(running.pid))
                group = running.definition.group
                seconds[group] = seconds.get(group, 0.0) + used
        return seconds

    def churn(self, path: Callable[[int], str], cookie: Callable[[int], str]) -> None:
        """Open sockets at an even pace, and close each after some others have come."""
        opened: list[IdleSocket] = []
        began = time.monotonic()
        for i in range(self.sizes.connects):
            opened.append(self.clients.open(path(i), cookie(i)))
            if len(opened) > STAY:
                self.clients.close(opened.pop(0))
            # An open loop: the pace must be kept, however long a connect takes.
            time.sleep(max(0.0, began + (i + 1) / self.sizes.connects_per_second - time.monotonic()))
        for client in opened:
            self.clients.close(client)

    @contextlib.contextmanager
    def open(self, sockets: Sequence[tuple[str, str]]) -> Iterator[list[IdleSocket]]:
        """Keep sockets to these (path, cookie) open for the block, which begins when presence has announced them."""
        clients = [self.clients.open(path, cookie) for path, cookie in sockets]
        wait_for_presence()
        try:
            yield clients
        finally:
            for client in clients:
                self.clients.close(client)
            wait_for_presence()
