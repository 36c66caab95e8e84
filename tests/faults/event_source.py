"""A process that publishes events at a given rate, and the events that the database has."""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from deploy.local.layout import ROOT
from tests.stack import Stack

END_SECONDS = 30.0


class Publisher:
    """`with Publisher(stack, 50)` publishes 50 events a second until `stop`, which sets `saved` and `failed`."""

    def __init__(self, stack: Stack, per_second: float, **env: str) -> None:
        self._stack = stack
        self._per_second = per_second
        self._env = stack.environment | env
        self._process: subprocess.Popen[str] | None = None
        self.saved = self.failed = 0
        self.last = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.publisher_process", str(self._per_second)],
            cwd=ROOT,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Stop publishing."""
        if self._process is None:
            return
        output, _ = self._process.communicate(timeout=END_SECONDS)
        if self._process.returncode:
            raise RuntimeError(f"the publisher failed with {self._process.returncode}")
        self._process = None
        result: dict[str, Any] = json.loads(output)
        self.saved, self.failed, self.last = result["saved"], result["failed"], result["last"]

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and kind is not None:
            self._process.kill()
            self._process.wait(END_SECONDS)
            return
        self.stop()


def committed(stack: Stack, after: int = 0) -> list[tuple[int, float]]:
    """Return the notifications in the database as (sequence number, committed), in the order of publishing."""
    return [(sequence, at) for sequence, at in json.loads(stack.run("-m", "tests.faults.rows", str(after)))]
