"""Faults planted between the connection and the accounts, to prove that the accounts detect them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

KINDS = ("drop", "double", "swap", "delay", "starve")
# A client has received a few events in order before this one.
AT_EVENT = 5


@dataclass
class PlantedFault:
    """Damages one event of one client. `starve` damages none, but blocks the core."""

    kind: str
    delay_seconds: float
    client: str = ""
    _held: bytes | None = field(default=None, init=False)
    _is_done: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault that can be planted; known are {', '.join(KINDS)}")

    def damage(self, client: str, text: bytes) -> tuple[float, Sequence[bytes]]:
        """Return the replacement of the client's event: a delay in seconds, and the messages."""
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
        """Record that a client left. Without a later event its fault cannot be detected, so another client gets it."""
        if client == self.client and not self._is_done:
            self.client, self._held = "", None


class PlantedFaults:
    """Several faults in a run, each at another client: the first clients that have received a few events."""

    def __init__(self, kinds: Sequence[str], delay_seconds: float) -> None:
        self.kinds = tuple(kinds)
        self._planted = [PlantedFault(kind, delay_seconds) for kind in kinds]
        self._seen: Counter[str] = Counter()

    def damage(self, client: str, text: bytes) -> tuple[float, Sequence[bytes]]:
        """Return the replacement of this client's event: a delay in seconds, and the messages."""
        self._seen[client] += 1
        for each in self._planted:
            if each.client == client:
                return each.damage(client, text)
        if self._seen[client] >= AT_EVENT:
            for each in self._planted:
                if not each.client and each.kind != "starve":
                    return each.damage(client, text)
        return 0.0, (text,)

    def left(self, client: str) -> None:
        for each in self._planted:
            each.left(client)
