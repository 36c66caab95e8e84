"""CPU time and memory of processes, and the use of all cores, by the operating system's statistics."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")


def process_tree(pid: int, proc: Path = PROC) -> list[int]:
    """Return the process and its living descendants."""
    children: dict[int, list[int]] = {}
    for stat in proc.glob("[0-9]*/stat"):
        try:
            # The name in brackets may itself contain brackets; the fields after it cannot.
            after_name = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(stat.parent.name))
    pids = [pid]
    for parent in pids:
        pids += children.get(parent, [])
    return pids


def cpu_seconds(pids: Iterable[int], proc: Path = PROC) -> float:
    """Return the CPU time of all threads of these processes, which is more exact than the ticks of `stat`.

    The time of a thread is lost when it ends; the servers measured here keep their threads.
    """
    total = 0
    for pid in pids:
        for schedstat in proc.glob(f"{pid}/task/*/schedstat"):
            try:
                total += int(schedstat.read_text(encoding="ascii").split()[0])
            except OSError:
                continue
    return total / 1e9


def rss_bytes(pids: Iterable[int], proc: Path = PROC) -> int:
    """Return the memory of these processes in RAM."""
    total = 0
    for pid in pids:
        for line in (proc / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
    return total


@dataclasses.dataclass(frozen=True)
class Busy:
    """Seconds since boot in which cores were busy, and seconds that the hypervisor gave to other guests."""

    busy: float
    stolen: float

    @classmethod
    def now(cls, proc: Path = PROC) -> Busy:
        user, nice, system, _idle, _wait, irq, softirq, stolen = (
            int(ticks) / os.sysconf("SC_CLK_TCK")
            for ticks in (proc / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
        )
        return cls(user + nice + system + irq + softirq, stolen)
