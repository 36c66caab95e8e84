"""Accounted sockets through the cluster's nginx while events flow, to measure the effect of an operation."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from tests.faults.account import Account
from tests.faults.client import Page
from tests.faults.crowd import Crowd, CrowdError, codes, peak_connects
from tests.k8s.cluster.cluster import Cluster

PATHS = ("/ws/notifications/", "/ws/users/")
CATCH_UP_SECONDS = 60.0
CALM_SECONDS = 3.0
END_SECONDS = 60.0


class Load:
    """`with Load(cluster, sockets=500, per_second=10, note=print) as load`; then `begin`, `catch_up` and `verdict`."""

    def __init__(self, cluster: Cluster, *, sockets: int, per_second: float, note: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._per_second = per_second
        self.note = note
        names = [f"person-{i}" for i in range(sockets // len(PATHS))]
        cookies = cluster.run("tests/login_cookies.py", "--tickets", "ada", *names)
        self.people = len(names)
        pages = [Page(name, cookies[name], path) for path in PATHS for name in names]
        self.crowd = Crowd(cluster.address, pages)
        self._publisher: subprocess.Popen[str] | None = None
        self.began = 0.0
        self.account = Account()
        self.codes: Counter[int] = Counter()
        self.peak = 0
        self.refused = 0
        self.counts: set[int] = set()
        self.stale_seconds = 0.0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as closing:
            closing.enter_context(self.crowd)
            self._after = self._committed()[-1:]
            self.crowd.connect(per_second=100)
            command = self._cluster.command("tests/faults/publisher_process.py", str(self._per_second))
            self._publisher = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            # On a busy machine the program may start slowly. Wait until every page has shown an event.
            self.crowd.wait(lambda status: status["behind"] == 0, CATCH_UP_SECONDS)
            self._closing = closing.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._publisher is not None:
            self._publisher.kill()
            self._publisher.communicate(timeout=END_SECONDS)
        self._closing.__exit__(kind, error, at)

    def begin(self) -> None:
        """Begin the operation: earlier closes and connects do not count."""
        self.began = time.time()

    def catch_up(self, words: str) -> None:
        """Wait until all sockets are open again, stop publishing, wait for the last event, and print the account."""
        took = time.time() - self.began
        self.crowd.wait(lambda status: status["disconnected"] == 0, CATCH_UP_SECONDS)
        time.sleep(CALM_SECONDS)
        self._stop()
        due = self._committed()
        if due:
            # The account reports events that never arrive.
            with contextlib.suppress(CrowdError):
                self.crowd.wait(lambda status: status["behind"] == 0, CATCH_UP_SECONDS, shown=due[-1][0])
        self.account = self.crowd.account(due)
        diaries = self.crowd.diaries()
        self.codes = codes(diaries, self.began)
        self.peak = peak_connects(diaries, self.began)
        self.refused = sum(sum(diary.refusals.values()) for diary in diaries)
        self.stale_seconds = max((_longest_stale(diary.stale) for diary in diaries), default=0.0)
        self.counts = {diary.counts[-1][1] for diary in diaries if diary.counts}
        account = self.account
        self.note(
            f"{words}: {took:.0f} s, {len(diaries)} sockets, {account.due} due, {account.received} received, "
            f"{account.lost} lost, {account.duplicated} duplicated, {account.reordered} reordered, "
            f"{account.reloaded} by a reload; closes {dict(self.codes)}, {self.refused} handshakes refused, "
            f"peak {self.peak} connects/s, stale for {self.stale_seconds:.1f} s at most"
        )

    def nothing_lost(self) -> None:
        """Check that every committed event reached every page on notifications, once and in order."""
        account = self.account
        assert account.due > 0
        assert (account.lost, account.duplicated, account.reordered) == (0, 0, 0), account.examples

    def _stop(self) -> None:
        assert self._publisher is not None
        output, _ = self._publisher.communicate(timeout=END_SECONDS)
        assert self._publisher.returncode == 0, "the publisher failed"
        self._publisher = None
        # Log lines of the library may precede it.
        result = json.loads(output.splitlines()[-1])
        assert result["saved"] > 0, result
        if result["failed"]:
            self.note(f"{result['failed']} saves failed, the last: {result['last']}")

    def _committed(self) -> list[tuple[int, float]]:
        after = getattr(self, "_after", [])
        return [tuple(row) for row in self._cluster.run("tests/faults/rows.py", str(after[0][0] if after else 0))]


def _longest_stale(changes: Sequence[tuple[float, bool]]) -> float:
    """Return the longest time that a page was shown as stale."""
    ends = [*changes[1:], (time.time(), False)] if changes else []
    return max((after[0] - at for (at, stale), after in zip(changes, ends, strict=True) if stale), default=0.0)
