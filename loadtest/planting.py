"""Faults planted on purpose, between the wire and the books, to show that the books find them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = ("drop", "double", "swap", "delay", "starve")
# By then a client has had a few that were in order.
AT_EVENT = 5


@dataclass
class Planter:
    """Spoils one event of one client. `starve` spoils none: it keeps the generator's core busy instead."""

    kind: str
    delay_seconds: float
    client: str = ""
    _seen: int = field(default=0, init=False)
    _held: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault that can be planted; known are {', '.join(KINDS)}")

    def spoil(self, client: str, text: str) -> tuple[float, Sequence[str]]:
        """What this client gets in place of an event: after how many seconds, and which texts."""
        if self.kind == "starve":
            return 0.0, (text,)
        self.client = self.client or client
        if client != self.client:
            return 0.0, (text,)
        self._seen += 1
        if self._held is not None:
            held, self._held = self._held, None
            return 0.0, (text, held)
        if self._seen != AT_EVENT:
            return 0.0, (text,)
        return self._spoil(text)

    def _spoil(self, text: str) -> tuple[float, Sequence[str]]:
        if self.kind == "double":
            return 0.0, (text, text)
        if self.kind == "delay":
            return self.delay_seconds, (text,)
        if self.kind == "swap":
            self._held = text
        return 0.0, ()
