"""The steps and their order: each round has every measure of every server, so that a disturbance affects all alike."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

from bench.compared_servers import SERVERS
from bench.measure_fanout import Dose

Measure = Literal["fanout", "idle", "storm", "stall"]
MEASURES: tuple[Measure, ...] = ("fanout", "idle", "storm", "stall")


@dataclasses.dataclass(frozen=True)
class Step:
    """A measure of a server. `variant` is its kind: "bare", "session", "ticket", "stalled" or ""."""

    measure: Measure
    server: str
    clients: int
    round: int
    variant: str = ""

    @property
    def key(self) -> tuple[str, str, int, str]:
        """The values that a step has in every round."""
        return (self.measure, self.server, self.clients, self.variant)

    def __str__(self) -> str:
        words = (self.measure, self.variant, self.server, f"{self.clients} clients")
        return " ".join(word for word in words if word)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The matrix of a run. Servers are in the order in which they are measured."""

    measures: Sequence[Measure]
    servers: Sequence[str]
    clients: Sequence[int]
    rounds: int
    dose: dict[str, Dose]
    # A twentyfold difference needs no third round, and a measure that takes minutes no second.
    stock_rounds: int = 2
    slow_rounds: int = 1
    # Memory varies by a few percent; a run with stalled readers takes a minute.
    steady_rounds: int = 2
    # A disturbed step is measured so many times at most.
    tries: int = 3
    # After the first round, steps that would end later are left out.
    most_seconds: float = math.inf

    def steps(self) -> Iterator[Step]:
        """Fan-out first, because it is the most wanted result if the run must be interrupted."""
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
# With up to this many clients, the fan-out of a stock server can be measured in seconds.
SOON_DONE = 1000
STOCK = ("daphne-core", "daphne-pubsub", "uvicorn-pubsub", PATIENT)
NODE = ("ws", "ws-buffer", "socketio")
IDLES = {
    "bare": (*STOCK[:3], "ws", "socketio", "nchan", "centrifugo", "tidewire"),
    "session": (*STOCK[:3], "tidewire"),
    # tidewire's ticket, Centrifugo's token: either is signed, and read without a query.
    "ticket": ("centrifugo", "tidewire"),
}
STORMS = ("daphne-pubsub", PATIENT, "tidewire")
STALLS = ("daphne-pubsub", "ws", "tidewire")

FULL_DOSE = {"single": Dose(5.0, 5, 100), "burst": Dose(5.0, 2, 30)}
QUICK_DOSE = {"single": Dose(3.0, 5, 80), "burst": Dose(3.0, 2, 25)}


def full() -> Plan:
    """Return the plan of the whole comparison."""
    return Plan(
        measures=MEASURES,
        servers=tuple(server.name for server in SERVERS),
        clients=(200, 1000, 4000),
        rounds=3,
        dose=FULL_DOSE,
    )


def quick() -> Plan:
    """Return the plan of its most important part, which takes less than two minutes."""
    return Plan(
        measures=("fanout",),
        # Of stock Channels the cheapest set-up.
        servers=("uvicorn-pubsub", "ws", "tidewire"),
        clients=(1000,),
        rounds=2,
        dose=QUICK_DOSE,
        # On a busy machine repetitions would take three times as long; the disturbance is printed in either case.
        tries=1,
        most_seconds=100.0,
    )
