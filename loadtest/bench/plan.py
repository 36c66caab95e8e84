"""What is run, in which order: every measure of every server once a round, so that a disturbance hits all alike."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Literal

from loadtest.bench.fanout import Dose
from loadtest.bench.servers import SERVERS

Measure = Literal["fanout", "idle", "storm", "stall"]
MEASURES: tuple[Measure, ...] = ("fanout", "idle", "storm", "stall")


@dataclasses.dataclass(frozen=True)
class Step:
    """One measure of one server. `variant` says which of its kind: "bare", "session", "ticket", "stalled" or ""."""

    measure: Measure
    server: str
    clients: int
    round: int
    variant: str = ""

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What is the same in every round."""
        return (self.measure, self.server, self.clients, self.variant)

    def __str__(self) -> str:
        words = (self.measure, self.variant, self.server, f"{self.clients} clients")
        return " ".join(word for word in words if word)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The matrix. Its servers are named in the order in which they are measured."""

    measures: Sequence[Measure]
    servers: Sequence[str]
    clients: Sequence[int]
    rounds: int
    dose: dict[str, Dose]
    # What differs twentyfold needs no third round, and what takes minutes no second.
    stock_rounds: int = 2
    slow_rounds: int = 1
    # Memory varies by a few percent; a run with stalled readers takes a minute.
    steady_rounds: int = 2

    def steps(self) -> Iterator[Step]:
        """Fan-out first: it is what most people want to see, should the run be cut short."""
        for measure in self.measures:
            rounds = self.rounds if measure in ("fanout", "storm") else min(self.steady_rounds, self.rounds)
            for number in range(1, rounds + 1):
                yield from getattr(self, f"_{measure}")(number)

    def _fanout(self, number: int) -> Iterator[Step]:
        for clients, server in itertools.product(self.clients, self.servers):
            rounds = self.rounds
            if server in STOCK:
                rounds = self.stock_rounds if clients <= SOON_DONE else self.slow_rounds
            if server != PATIENT and number <= rounds:
                yield Step("fanout", server, clients, number)

    def _idle(self, number: int) -> Iterator[Step]:
        clients = max(self.clients)
        for variant, servers in IDLES.items():
            for server in self.servers:
                if server in servers:
                    yield Step("idle", server, clients, number, variant)

    def _storm(self, number: int) -> Iterator[Step]:
        for clients, server in itertools.product((500, 1000), STORMS):
            if server in self.servers and number <= self._rounds_of(server):
                yield Step("storm", server, clients, number)

    def _stall(self, number: int) -> Iterator[Step]:
        for server, variant in itertools.product(STALLS, ("", "stalled")):
            if server in self.servers and number <= self._rounds_of(server):
                yield Step("stall", server, 1000, number, variant)

    def _rounds_of(self, server: str) -> int:
        return min(self.slow_rounds, self.rounds) if server in STOCK else self.rounds


PATIENT = "daphne-patient"
# Up to so many clients a stock server's fan-out is measured in seconds.
SOON_DONE = 1000
STOCK = ("daphne-core", "daphne-pubsub", "uvicorn-pubsub", PATIENT)
IDLES = {
    "bare": (*STOCK[:3], "ws", "socketio", "nchan", "tidewire"),
    "session": (*STOCK[:3], "tidewire"),
    "ticket": ("tidewire",),
}
STORMS = ("daphne-pubsub", PATIENT, "tidewire")
STALLS = ("daphne-pubsub", "ws", "tidewire")

FULL_DOSE = {"single": Dose(5.0, 5, 100), "burst": Dose(5.0, 2, 30)}
QUICK_DOSE = {"single": Dose(6.0, 5, 150), "burst": Dose(6.0, 2, 50)}


def full() -> Plan:
    """All of it."""
    return Plan(
        measures=MEASURES,
        servers=tuple(server.name for server in SERVERS),
        clients=(200, 1000, 4000),
        rounds=3,
        dose=FULL_DOSE,
    )


def quick() -> Plan:
    """The core of it in about two minutes."""
    return Plan(
        measures=("fanout",),
        servers=("daphne-pubsub", "ws", "tidewire"),
        clients=(1000,),
        rounds=2,
        dose=QUICK_DOSE,
    )
