"""The messages of one measurement, and the sockets that each of them is due to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from tidewire.bench.clients import Client
from tidewire.bench.deliveries import Deliveries, Faults
from tidewire.bench.errors import CannotMeasure

WARM_UP = 5
# A message whose frame is later than this has lost it.
LOST_SECONDS = 15.0
# Once a message has reached a socket and the server is silent for so long, the message is due to no other socket.
QUIET_SECONDS = 1.0
_POLL_SECONDS = 0.001


class Talk:
    """The sockets send in turn, so that each consumer receives and sends."""

    def __init__(self, clients: list[Client], deliveries: Deliveries) -> None:
        # The sockets that a message reaches, or the sender alone as with an echo.
        self.audience: frozenset[int] = frozenset()
        self.is_echo = False
        self.deliveries = deliveries
        self._clients = clients
        self._due: dict[int, Collection[int]] = {}
        self._next = 0

    async def find_audience(self, known: Collection[int]) -> None:
        """Send the first messages, which warm up the server, too. Raises `CannotMeasure` if none is answered."""
        reached: list[tuple[int, set[int]]] = []
        for _ in range(WARM_UP):
            sender, [number] = self._send(1)
            await self._until(number, range(len(self._clients)), QUIET_SECONDS)
            if not self.deliveries.sockets_with(number):
                raise CannotMeasure(f"no socket received a frame for a message: {self._ends()}")
            reached.append((sender, self.deliveries.sockets_with(number)))
        self.is_echo = len(self._clients) > 1 and all(sockets == {sender} for sender, sockets in reached)
        self.audience = frozenset(known).union(*(sockets for _, sockets in reached))

    async def say(self, count: int = 1) -> None:
        """Send messages from one socket at once, and wait until each has reached the sockets that it is due to."""
        sender, numbers = self._send(count)
        due: Collection[int] = (sender,) if self.is_echo else self.audience
        for number in numbers:
            self._due[number] = due
            await self._until(number, due, LOST_SECONDS)

    async def faults(self) -> Faults:
        """Wait for frames that come twice, and return all faults."""
        await self.until_quiet()
        return self.deliveries.faults(self._due)

    async def until_quiet(self) -> None:
        """Wait until no frame has come for a while."""
        frames = -1
        while frames != self.deliveries.frames:
            frames = self.deliveries.frames
            await asyncio.sleep(QUIET_SECONDS / 2)

    def send_all(self, text: str) -> None:
        """Send a text from each socket."""
        for client in self._clients:
            client.send(text)

    def _send(self, count: int) -> tuple[int, list[int]]:
        sender = self._next % len(self._clients)
        self._next += 1
        numbers = []
        for _ in range(count):
            number, text = self.deliveries.send(time.perf_counter())
            self._clients[sender].send(text)
            numbers.append(number)
        return sender, numbers

    async def _until(self, number: int, due: Collection[int], quiet_seconds: float) -> None:
        """Wait until these sockets have a message, or until no frame has come for `quiet_seconds` after the first."""
        wanted = set(due)
        frames, last = self.deliveries.frames, time.monotonic()
        while not wanted <= (got := self.deliveries.sockets_with(number)):
            await asyncio.sleep(_POLL_SECONDS)
            if self.deliveries.frames != frames:
                frames, last = self.deliveries.frames, time.monotonic()
            is_over = time.monotonic() - last > (quiet_seconds if got else LOST_SECONDS)
            if is_over or all(client.closed.done() for client in self._clients):
                return

    def _ends(self) -> str:
        codes = sorted({client.closed.result() for client in self._clients if client.closed.done()})
        if not codes:
            return "has --send what the consumer reads, and must a socket say something first (--on-open)?"
        ended = f"sockets were closed with {', '.join(map(str, codes))}"
        return f"{ended}: has --send what the consumer reads, and does the consumer raise?"
