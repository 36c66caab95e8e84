"""CPU and memory of the services under test, if they run on this host, as the system counts them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from testkit.process_usage import PROC, cpu_seconds, process_tree, rss_bytes

# A part of each service's command line, and the name of the service.
SERVICES = (
    ("tidewire ws.asgi", "ws"),
    ("daphne --", "ws"),
    ("gunicorn", "web"),
    ("manage.py relay", "relay"),
    ("nginx", "nginx"),
    ("redis-server", "redis"),
    ("valkey-server", "redis"),
)


def service_of(command: Sequence[str]) -> str:
    """Return the service's name, or an empty text. Each ws node has its own name, because each can use a whole core."""
    line = " ".join(command)
    service = next((name for part, name in SERVICES if part in line), "")
    if service == "ws" and "-p" in command[:-1]:
        return f"ws:{command[command.index('-p') + 1]}"
    return service


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU as a share of one core since the previous reading, and memory now."""

    cpu: Mapping[str, float]
    rss_bytes: Mapping[str, int]


class Services:
    """The services among the descendants of a process."""

    def __init__(self, root: int, proc: Path = PROC) -> None:
        self.root = root
        self._proc = proc
        self._at = time.monotonic()
        self._before = self._cpu()

    def read(self) -> Usage:
        now, cpu = time.monotonic(), self._cpu()
        passed = max(1e-3, now - self._at)
        share = {name: max(0.0, used - self._before.get(name, 0.0)) / passed for name, used in cpu.items()}
        self._at, self._before = now, cpu
        memory: Counter[str] = Counter()
        for name, pids in self.pids().items():
            for pid in pids:
                try:
                    memory[name] += rss_bytes([pid], self._proc)
                except OSError:
                    continue
        return Usage(share, dict(memory))

    def _cpu(self) -> dict[str, float]:
        return {name: cpu_seconds(pids, self._proc) for name, pids in self.pids().items()}

    def pids(self) -> dict[str, list[int]]:
        pids: dict[str, list[int]] = {}
        for pid in process_tree(self.root, self._proc):
            try:
                command = (self._proc / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if name := service_of(command):
                pids.setdefault(name, []).append(pid)
        return pids
