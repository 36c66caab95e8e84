"""A shape's operations on the nodes of a running stack: a node ends, and must come back. Independent of users."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from testkit.service_usage import Services

# A drain can take as long as the node's grace; a start takes seconds.
BACK_SECONDS = 120.0
POLL_SECONDS = 0.2


class Nodes(Protocol):
    """The ws nodes of the stack under test."""

    def names(self) -> Sequence[str]: ...

    def stop(self, name: str) -> None:
        """End a node as a deploy does."""

    def is_back(self, name: str) -> bool:
        """Return whether another process serves in the node's place."""

    def has_ended(self, name: str, pid: int) -> bool:
        """Return whether it was this run that ended a process of this host."""


class NodesByProcess:
    """Nodes on this host, found by their processes. Their supervisor must start them again."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._stopped: dict[str, set[int]] = {}

    def names(self) -> Sequence[str]:
        return sorted(name for name in self._services.pids() if name.startswith("ws:"))

    def stop(self, name: str) -> None:
        pids = self._services.pids().get(name, [])
        self._stopped[name] = set(pids)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)

    def is_back(self, name: str) -> bool:
        others = set(self._services.pids().get(name, ())) - self._stopped[name]
        return bool(others) and _listens(int(name.partition(":")[2]))

    def has_ended(self, name: str, pid: int) -> bool:
        return pid in self._stopped.get(name, ())


class NodesByCommand:
    """Nodes anywhere: a command ends node {n}, from 1, and must return once the node is back."""

    def __init__(self, command: str, count: int) -> None:
        self._command = command
        self._count = count

    def names(self) -> Sequence[str]:
        return [str(n) for n in range(1, self._count + 1)]

    def stop(self, name: str) -> None:
        command = [word.replace("{n}", name) for word in shlex.split(self._command)]
        subprocess.run(command, check=True, timeout=BACK_SECONDS, capture_output=True)  # noqa: S603 - the caller's own

    def is_back(self, name: str) -> bool:
        return True

    def has_ended(self, name: str, pid: int) -> bool:
        # The command's own names are not those of the processes.
        return name.startswith("ws")


@dataclass(frozen=True, slots=True)
class NodeRestart:
    """A node that was ended, and the `seconds` until it was back, or None if it never came back."""

    node: str
    second: int
    seconds: float | None
    error: str = ""

    def __str__(self) -> str:
        if self.seconds is None:
            return f"node {self.node} was stopped at {self.second} s and was not back: {self.error}"
        return f"node {self.node} was stopped at {self.second} s and was back {self.seconds:.1f} s later"


def restart_nodes(
    nodes: Nodes,
    count: int | None,
    *,
    second: Callable[[], int],
    sleep: Callable[[float], object],
    clock: Callable[[], float] = time.monotonic,
) -> list[NodeRestart]:
    """End this number of nodes (None: all), each after the previous one is back. Stops if a node does not come back."""
    restarts: list[NodeRestart] = []
    for name in list(nodes.names())[:count]:
        at, began = second(), clock()
        try:
            nodes.stop(name)
            while not nodes.is_back(name) and clock() - began < BACK_SECONDS:
                sleep(POLL_SECONDS)
            back, error = nodes.is_back(name), f"not within {BACK_SECONDS:.0f} s"
        except (OSError, subprocess.SubprocessError) as problem:
            back, error = False, str(problem)
        restarts.append(NodeRestart(name, at, clock() - began if back else None, "" if back else error))
        if not back:
            break
    return restarts


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
