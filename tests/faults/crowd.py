"""A crowd of accounted clients in a process of its own: this side starts it, sends it commands and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

from deploy.local.layout import ROOT
from tests.faults.account import Account, peak_per_second
from tests.faults.client import Page
from tests.stack import Stack

POLL_SECONDS = 0.2
END_SECONDS = 10.0


class CrowdError(Exception):
    """The crowd did not complete a command in time."""


@dataclass(frozen=True)
class Address:
    """The address of an nginx that does not belong to a stack."""

    host: str
    port: int


class Crowd:
    """`with Crowd(stack, pages) as crowd` starts the process; `crowd.connect()` opens the sockets."""

    def __init__(self, stack: Stack | Address, pages: Sequence[Page]) -> None:
        self.pages = pages
        self._address = stack if isinstance(stack, Address) else Address("127.0.0.1", stack.layout.ports.nginx)
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.crowd_process"],
            cwd=ROOT,
            # The client uses the library's table of close codes.
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._write({**asdict(self._address), "pages": [asdict(page) for page in self.pages]})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # The process ends at the end of its input, which closes its sockets.
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_SECONDS)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ask(self, do: str, **arguments: Any) -> Any:
        """Send a command to the process and return its reply."""
        self._write({"do": do, **arguments})
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise CrowdError(f"the crowd's process has ended ({self._process.poll()}) when asked to {do}")
        return json.loads(line)

    def connect(self, *, per_second: float = 250.0, timeout_seconds: float = 90.0) -> None:
        """Open all sockets. Return after each is open and has a position in its stream."""
        self.ask("connect", per_second=per_second)
        news = sum(page.path.startswith("/ws/notifications/") for page in self.pages)
        self.wait(lambda status: status["open"] == len(self.pages) and status["resumed"] == news, timeout_seconds)

    def wait(self, when: Callable[[dict[str, Any]], bool], timeout_seconds: float, **asked: Any) -> float:
        """Wait until the status matches. Return the seconds that it took."""
        began = time.monotonic()
        while True:
            status = self.ask("status", **asked)
            if when(status):
                return time.monotonic() - began
            if time.monotonic() - began > timeout_seconds:
                raise CrowdError(f"not in {timeout_seconds:.0f} s; the crowd's status is {status}")
            time.sleep(POLL_SECONDS)

    def account(self, due: Sequence[tuple[int, float]]) -> Account:
        return Account(**self.ask("account", due=list(due))["account"])

    def diaries(self) -> list[Diary]:
        return [Diary(**each) for each in self.ask("diaries")]

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


class Diary:
    """The records of a client, as received from the other process (`client.Diary` describes the fields)."""

    user: str
    path: str
    returns: bool
    ended: bool
    open: bool
    attempts: list[float]
    opens: list[float]
    closes: list[tuple[float, int]]
    refusals: dict[str, int]
    counts: list[tuple[float, int]]
    stale: list[tuple[float, bool]]
    reloads: list[float]
    errors: dict[str, int]

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


def codes(diaries: Sequence[Diary], since: float = 0.0) -> Counter[int]:
    """Return close codes with their counts."""
    return Counter(code for diary in diaries for at, code in diary.closes if at >= since)


def peak_connects(diaries: Sequence[Diary], since: float) -> int:
    """Return the maximum of connection attempts within one second."""
    return peak_per_second(at for diary in diaries for at in diary.attempts if at >= since)
