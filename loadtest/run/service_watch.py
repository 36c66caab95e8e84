"""Notices processes of the product that end or are stopped during a run, and work of other processes on the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from testkit.process_usage import PROC, Busy, cpu_seconds, process_tree
from testkit.service_usage import Services

# A process is known once it was seen so many times, so that a helper of a moment is none.
KNOWN_AFTER = 2
STOPPED_STATES = ("T", "t")


@dataclass
class Ended:
    """A process that ended or was stopped, and the second in which a process served in its place again."""

    service: str
    pid: int
    second: int
    how: str
    back: int | None = None

    def __str__(self) -> str:
        back = "was not back" if self.back is None else f"was back at {self.back} s"
        which = f"service {self.service} (process {self.pid})"
        return f"{which} {self.how} at {self.second} s without an order of this run, and {back}"


class ServiceWatch:
    """Compares the product's processes with those of the previous look."""

    def __init__(self, services: Services, proc: Path = PROC) -> None:
        self._services = services
        self._proc = proc
        self._seen: dict[tuple[str, int], int] = {}
        self.ended: list[Ended] = []

    def look(self, second: int, is_ordered: Callable[[str, int], bool]) -> None:
        """Look at all processes. Those that the run itself has ended are expected to end."""
        alive = {(name, pid) for name, pids in self._services.pids().items() for pid in pids}
        for name, pid in sorted(self._seen.keys() - alive):
            if self._seen.pop((name, pid)) >= KNOWN_AFTER and not is_ordered(name, pid):
                self.ended.append(Ended(name, pid, second, "ended"))
        for name, pid in sorted(alive):
            is_new = (name, pid) not in self._seen
            self._seen[name, pid] = self._seen.get((name, pid), 0) + 1
            is_stopped = self._state(pid) in STOPPED_STATES
            here = [each for each in self.ended if each.service == name and each.back is None]
            halted = [each for each in here if each.pid == pid]
            if is_stopped and not halted:
                self.ended.append(Ended(name, pid, second, "was stopped"))
            elif not is_stopped and (back := halted or (here if is_new else [])):
                back[0].back = second

    def _state(self, pid: int) -> str:
        try:
            stat = (self._proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return stat.rpartition(")")[2].split()[0]


class ForeignLoad:
    """Cores that processes other than ours use on this machine, since the previous reading."""

    def __init__(self, roots: Callable[[], Iterable[int]], clock: Callable[[], float], proc: Path = PROC) -> None:
        self._roots = roots
        self._clock = clock
        self._proc = proc
        self._at, self._busy, self._ours = self._now()

    def read(self) -> float:
        at, busy, ours = self._now()
        used = sum(seconds - self._ours[pid] for pid, seconds in ours.items() if pid in self._ours)
        # A process that has started since the previous reading has used all its time since then.
        used += sum(seconds for pid, seconds in ours.items() if pid not in self._ours)
        cores = max(0.0, (busy - self._busy - used) / max(1e-3, at - self._at))
        self._at, self._busy, self._ours = at, busy, ours
        return cores

    def _now(self) -> tuple[float, float, dict[int, float]]:
        pids = {pid for root in self._roots() for pid in process_tree(root, self._proc)}
        return self._clock(), Busy.now(self._proc).busy, {pid: cpu_seconds([pid], self._proc) for pid in pids}
