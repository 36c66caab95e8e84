"""Faults planted on purpose, between the wire and the books, to show that the books find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = ("drop", "double", "swap", "delay", "starve")
# By then a client has had a few that were in order.
AT_EVENT = 5


@dataclass
class Planter:
    """Spoils one event of one client. `starve` spoils none: it takes the core away."""

    kind: str
    delay_seconds: float
    client: str = ""
    _held: bytes | None = field(default=None, init=False)
    _is_done: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault that can be planted; known are {', '.join(KINDS)}")

    def spoil(self, client: str, text: bytes) -> tuple[float, Sequence[bytes]]:
        """What this client gets in place of its first event here: after how many seconds, and which texts."""
        if self.client == client:
            self._is_done = True
            held, self._held = self._held, None
            return 0.0, (text,) if held is None else (text, held)
        self.client = client
        if self.kind == "double":
            self._is_done = True
            return 0.0, (text, text)
        if self.kind == "delay":
            return self.delay_seconds, (text,)
        if self.kind == "swap":
            self._held = text
        return 0.0, ()

    def left(self, client: str) -> None:
        """A client has gone. Without a later event nothing was wrong with what it got, so another's turn comes."""
        if client == self.client and not self._is_done:
            self.client, self._held = "", None


class Planters:
    """Several faults in one run, each at a client of its own: the first that have had a few events."""

    def __init__(self, kinds: Sequence[str], delay_seconds: float) -> None:
        self.kinds = tuple(kinds)
        self._planters = [Planter(kind, delay_seconds) for kind in kinds]
        self._seen: Counter[str] = Counter()

    def spoil(self, client: str, text: bytes) -> tuple[float, Sequence[bytes]]:
        """What this client gets in place of an event: after how many seconds, and which texts."""
        self._seen[client] += 1
        for each in self._planters:
            if each.client == client:
                return each.spoil(client, text)
        if self._seen[client] >= AT_EVENT:
            for each in self._planters:
                if not each.client and each.kind != "starve":
                    return each.spoil(client, text)
        return 0.0, (text,)

    def left(self, client: str) -> None:
        for each in self._planters:
            each.left(client)
