"""The account of numbered messages: the receipts of each socket, with their times and order. No I/O, no clock."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

# In a message that has it, this is replaced by a number, by which its frames are known.
PLACEHOLDER = "{number}"
# Seven digits are in few other fields of a frame. A frame's number must have been sent, too.
FIRST = 1_000_001
_NUMBER = re.compile(r"(?<!\d)\d{7}(?!\d)")


@dataclass(frozen=True)
class Faults:
    """Frames that a socket did not get, got again, or got after a later one."""

    lost: int
    doubled: int
    reordered: int


class Deliveries:
    """The numbered messages of one measurement.

    Frames of a message without a placeholder cannot be distinguished: each frame belongs to the message that was sent
    last, so one message at a time may be on its way.
    """

    def __init__(self, message: str, sockets: int) -> None:
        self.is_numbered = PLACEHOLDER in message
        # All frames, with those that have no number.
        self.frames = 0
        # Seconds from a message to each of its frames.
        self.waits: list[float] = []
        self._message = message
        self._sent: dict[int, float] = {}
        self._seen: list[set[int]] = [set() for _ in range(sockets)]
        self._last = [0] * sockets
        self._doubled = self._reordered = 0
        self._got: dict[int, set[int]] = {}

    def send(self, now: float) -> tuple[int, str]:
        """Return the number and the text of the next message."""
        number = FIRST + len(self._sent)
        self._sent[number] = now
        self._got[number] = set()
        return number, self._message.replace(PLACEHOLDER, str(number))

    def receive(self, socket: int, text: str, now: float) -> None:
        """Note a frame of a socket."""
        self.frames += 1
        number = self._number(text)
        if number is None:
            return
        if number in self._seen[socket]:
            self._doubled += 1
            return
        if number < self._last[socket]:
            self._reordered += 1
        self._last[socket] = max(number, self._last[socket])
        self._seen[socket].add(number)
        self._got[number].add(socket)
        self.waits.append(now - self._sent[number])

    def sockets_with(self, number: int) -> set[int]:
        """Return the sockets that have received a message."""
        return self._got[number]

    def faults(self, due: dict[int, Collection[int]]) -> Faults:
        """Return the faults, where `due` has the sockets of each message that must be complete."""
        lost = sum(len(set(sockets) - self._got[number]) for number, sockets in due.items())
        return Faults(lost, self._doubled, self._reordered)

    def _number(self, text: str) -> int | None:
        if not self.is_numbered:
            return FIRST + len(self._sent) - 1 if self._sent else None
        return next((number for number in map(int, _NUMBER.findall(text)) if number in self._sent), None)
