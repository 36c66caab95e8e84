"""Signals to a command: a closed terminal and SIGTERM go back as Ctrl-C does, and none interrupts the way back."""
# ruff: noqa: INP001 - deploy/ is no package; found from the root

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ending() -> Iterator[None]:
    """Raise KeyboardInterrupt for each signal that asks a command to end, not only for Ctrl-C."""
    with _handled(_interrupt):
        yield


@contextmanager
def held() -> Iterator[None]:
    """Finish the block first; then raise KeyboardInterrupt if a signal has arrived meanwhile."""
    arrived: list[int] = []
    with _handled(lambda number, _frame: arrived.append(number)):
        yield
    if arrived:
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _handled(handler: object) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in ENDING}  # type: ignore[arg-type]  # a handler, or its earlier value
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
