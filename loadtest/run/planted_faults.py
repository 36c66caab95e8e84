"""Faults planted between the connection and the accounts, to prove that the accounts detect them.

A fault is done once its damage is final. Before that the client has not received an event beyond the damaged one, so a
new socket would receive all of them undamaged: if the socket ends, another client must get the fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from testkit.delivery_ledger import Kind

KINDS = ("drop", "double", "swap", "delay", "starve")
# The kinds of faults as which the accounts must find what is planted.
FOUND_AS = {
    "drop": (Kind.LOST, Kind.MISSED),
    "double": (Kind.DUPLICATED,),
    "swap": (Kind.REORDERED,),
    "delay": (Kind.LATE,),
}
# A client has received a few events in order on its socket before this one.
AT_EVENT = 5


def not_found(planted: str, counts: Mapping[Kind, int]) -> str:
    """Return the planted faults that the accounts lack, because none was planted or none was found."""
    missing = [name for name in planted.split(",") if name in FOUND_AS and not any(map(counts.get, FOUND_AS[name]))]
    return f"planted and not found: {', '.join(missing)}" if missing else ""


@dataclass
class PlantedFault:
    """Damages one event of one client. `starve` damages none, but blocks the core."""

    kind: str
    client: str = ""
    is_done: bool = field(default=False, init=False)
    # The damaged event, and events that wait behind a delayed one.
    _held: list[bytes] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no fault that can be planted; known are {', '.join(KINDS)}")

    def begin(self, client: str, text: bytes) -> Sequence[bytes]:
        """Damage this event, and return the messages to receive now."""
        self.client = client
        if self.kind == "double":
            self.is_done = True
            return (text, text)
        self._held.append(text)
        return ()

    def follow(self, text: bytes) -> Sequence[bytes]:
        """Return the messages to receive when the client's next event arrives."""
        if self.is_done:
            return (text,)
        if self.kind == "delay":
            self._held.append(text)
            return ()
        held = self.finish()
        return (text,) if self.kind == "drop" else (text, *held)

    def finish(self) -> Sequence[bytes]:
        """Make the damage final, and return the events that were held."""
        self.is_done = True
        held, self._held = self._held, []
        return held

    def give_up(self) -> None:
        self.client, self._held = "", []


class PlantedFaults:
    """Several faults in a run, each at another client: the first clients that have received a few events."""

    def __init__(self, kinds: Sequence[str], delay_seconds: float) -> None:
        self.kinds = tuple(kinds)
        self._delay_seconds = delay_seconds
        self._planted = [PlantedFault(kind) for kind in kinds]
        # The events that each client has received on its socket.
        self._received: Counter[str] = Counter()

    def damage(self, client: str, text: bytes, *, may_begin: bool = True) -> tuple[float, Sequence[bytes]]:
        """Return the seconds until `release`, or 0.0, and the messages to receive now instead of `text`."""
        self._received[client] += 1
        if fault := self._fault_of(client):
            return 0.0, fault.follow(text)
        if may_begin and self._received[client] >= AT_EVENT:
            for each in self._planted:
                if not each.client and each.kind != "starve":
                    return self._delay_seconds if each.kind == "delay" else 0.0, each.begin(client, text)
        return 0.0, (text,)

    def release(self, client: str) -> Sequence[bytes]:
        """Return the client's delayed events, which are late from now on."""
        fault = self._fault_of(client)
        return fault.finish() if fault else ()

    def socket_ended(self, client: str) -> None:
        """Discard the client's held events, because its next socket receives them from the server again.

        After each end of its socket, a client must receive a few events again before it gets a fault.
        """
        del self._received[client]
        fault = self._fault_of(client)
        if fault and not fault.is_done:
            fault.give_up()

    def page_left(self, client: str, is_late: Callable[[bytes], bool]) -> Sequence[bytes]:
        """Return the client's held events, which its page receives before it is left.

        A delay that has already made an event late is done; any other fault must be planted at another client.
        """
        fault = self._fault_of(client)
        if fault is None or fault.is_done:
            return ()
        held = fault.finish()
        if not (fault.kind == "delay" and any(map(is_late, held))):
            fault.is_done = False
            fault.give_up()
        return held

    def _fault_of(self, client: str) -> PlantedFault | None:
        return next((each for each in self._planted if each.client == client), None)
