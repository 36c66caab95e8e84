"""Deploys, node losses and reconnect storms at a plan's size, simulated by discrete events (SimPy).

Sockets return in cohorts, each with the client's own backoff. A handshake goes through nginx, a node and Redis; each of
them works on one handshake after another, with the part of its cores that its usual use leaves.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy

from capacity.costs import Costs
from capacity.model import Plan
from capacity.workload import Workload
from testkit.page_client import HANDSHAKE_SECONDS, longest_delay

# Number of cohorts, which are processes of the simulation: for any number of sockets, and for each node.
COHORTS, COHORTS_PER_NODE = 4000, 40
# The part of a node's grace in which it closes its sockets at an even pace.
DRAIN_SECONDS = 30.0 * 0.8
START_SECONDS = 5.0
LONGEST_SECONDS = 3600.0
# A process that is full still opens sockets at the cost of its other work: with this share of its cores.
LEAST_SPARE = 0.05
DEFAULT_SEED = 20260101


@dataclass(frozen=True, slots=True)
class Outcome:
    """The course of an incident, in seconds from its start. `open_sockets` has (second, share of open sockets)."""

    name: str
    sockets: float
    half_back: float
    p95_back: float
    all_back: float
    worst_open: float
    timeouts: float
    # The station with the most work until all were back, and the share of that time in which it worked.
    busiest: str
    busy: float
    open_sockets: Sequence[tuple[float, float]]

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.sockets:,.0f} sockets lost; half are back after {self.half_back:,.1f} s, 95 % after"
            f" {self.p95_back:,.1f} s, all after {self.all_back:,.1f} s; {self.worst_open:.1%} open at worst;"
            f" {self.timeouts:,.0f} handshakes timed out; busiest was {self.busiest} ({self.busy:.0%})"
        )


@dataclass
class Station:
    """A process that works on one handshake after another, with the part of its cores that its usual work leaves."""

    name: str
    door: simpy.Resource
    seconds_per_connect: float
    weight_waiting: float = 0.0
    up: bool = True
    busy_seconds: float = 0.0

    @classmethod
    def of(cls, name: str, env: simpy.Environment, *, ms: float, cores: float, used: float) -> Station:
        """Return a station with a cost of a handshake, and the cores that it has and that it uses anyway."""
        return cls(name, simpy.Resource(env), ms / 1e3 / max(LEAST_SPARE * cores, cores - used))


@dataclass
class World:
    """The simulated stack."""

    env: simpy.Environment
    nginx: Station
    nodes: list[Station]
    redis: Station
    total: float
    rng: random.Random
    jitter: bool = True
    disconnected: float = 0.0
    lost: float = 0.0
    timeouts: float = 0.0
    # (time, number of sockets that returned); (time, share of sockets that were open).
    backs: list[tuple[float, float]] = field(default_factory=list)
    history: list[tuple[float, float]] = field(default_factory=list)

    @classmethod
    def of(
        cls, plan: Plan, costs: Costs, workload: Workload, *, seed: int = DEFAULT_SEED, jitter: bool = True
    ) -> World:
        env = simpy.Environment()
        session_ms = costs.connect_session_ms - costs.connect_ticket_ms
        connect_ms = costs.storm_connect_ms + session_ms * (1 - workload.ticket_share)
        used = plan.ws_cores / plan.nodes
        nodes = [Station.of("a ws node", env, ms=connect_ms, cores=1.0, used=used) for _ in range(plan.nodes)]
        cores = workload.machine.nginx_cores
        nginx = Station.of("nginx", env, ms=costs.nginx_connect_ms, cores=cores, used=plan.nginx_cores)
        present_ms = costs.redis_present_us * workload.present_share / 1e3
        redis = Station.of("Redis", env, ms=present_ms, cores=1.0, used=plan.redis_core)
        rng = random.Random(seed)  # noqa: S311 - chance that a seed repeats
        return cls(env, nginx, nodes, redis, plan.sockets, rng, jitter)

    def lose(self, weight: float) -> None:
        self.disconnected += weight
        self.lost += weight
        self._note()

    def come_back(self, weight: float, *, after: float = 0.0) -> Generator[Any, Any, None]:
        """Reconnect a cohort as client.js does: it may be refused, and tries again later."""
        yield self.env.timeout(after)
        attempt = 0
        while True:
            yield self.env.timeout(self.rng.random() * longest_delay(attempt) if self.jitter else 0.0)
            attempt += 1
            # As least_conn does: the node with the fewest sockets that wait.
            living = [node for node in self.nodes if node.up]
            if not living:
                continue
            node = min(living, key=lambda each: each.weight_waiting)
            if (yield from self._handshake(node, weight)):
                return

    def outcome(self, name: str) -> Outcome:
        """Run until all sockets are back."""
        self.env.run(until=LONGEST_SECONDS)
        came = 0.0
        marks: dict[float, float] = {}
        for when, weight in self.backs:
            came += weight
            for share in (0.5, 0.95, 1.0):
                if came >= self.lost * share * (1 - 1e-9):
                    marks.setdefault(share, when)
        half, most, all_back = (marks.get(share, LONGEST_SECONDS) for share in (0.5, 0.95, 1.0))
        worst = min((share for _, share in self.history), default=1.0)
        busiest = max((self.nginx, *self.nodes, self.redis), key=lambda each: each.busy_seconds)
        busy = busiest.busy_seconds / all_back if all_back else 0.0
        history = _thinned(self.history)
        return Outcome(name, self.lost, half, most, all_back, worst, self.timeouts, busiest.name, busy, history)

    def _handshake(self, node: Station, weight: float) -> Generator[Any, Any, bool]:
        node.weight_waiting += weight
        patience = self.env.timeout(HANDSHAKE_SECONDS)
        try:
            for station in (self.nginx, node, self.redis):
                if not station.seconds_per_connect:
                    continue
                with station.door.request() as turn:
                    got = yield turn | patience
                    if turn not in got:
                        self.timeouts += weight
                        return False
                    seconds = weight * station.seconds_per_connect
                    yield self.env.timeout(seconds)
                    station.busy_seconds += seconds
        finally:
            node.weight_waiting -= weight
        if not node.up:
            return False
        self.disconnected -= weight
        self.backs.append((self.env.now, weight))
        self._note()
        return True

    def _note(self) -> None:
        self.history.append((self.env.now, 1 - self.disconnected / self.total))


def node_loss(world: World) -> Outcome:
    """A node fails: its sockets detect it at once, and other nodes accept them."""
    world.nodes[0].up = len(world.nodes) == 1
    _all_return(world, world.total / len(world.nodes))
    return world.outcome("node loss")


def storm(world: World) -> Outcome:
    """All sockets are lost at the same moment, and no node fails."""
    _all_return(world, world.total)
    return world.outcome("reconnect storm")


def deploy(world: World, *, at_once: int | None = None) -> Outcome:
    """Nodes drain at their pace and start again, `at_once` at a time: by default a twentieth of them."""
    step = at_once or max(1, len(world.nodes) // 20)
    world.env.process(_roll(world, step))
    return world.outcome(f"deploy, {step} of {len(world.nodes)} nodes at once")


def _roll(world: World, step: int) -> Generator[Any, Any, None]:
    per_node = world.total / len(world.nodes)
    for first in range(0, len(world.nodes), step):
        ending = world.nodes[first : first + step]
        for node in ending:
            node.up = len(world.nodes) == 1
        cohorts = max(1, COHORTS // len(world.nodes))
        for _ in ending:
            for place in range(cohorts):
                world.env.process(_drained(world, per_node / cohorts, DRAIN_SECONDS * place / cohorts))
        yield world.env.timeout(DRAIN_SECONDS + START_SECONDS)
        for node in ending:
            node.up = True


def _drained(world: World, weight: float, after: float) -> Generator[Any, Any, None]:
    """Drain a cohort: it is closed in its turn, and returns with the client's jitter."""
    yield world.env.timeout(after)
    world.lose(weight)
    yield from world.come_back(weight)


def _all_return(world: World, lost: float) -> None:
    world.lose(lost)
    cohorts = max(COHORTS, COHORTS_PER_NODE * len(world.nodes))
    for _ in range(cohorts):
        world.env.process(world.come_back(lost / cohorts))


def _thinned(history: Sequence[tuple[float, float]], most: int = 500) -> list[tuple[float, float]]:
    """Return as many points as a plot can show."""
    step = max(1, len(history) // most)
    return [*history[::step], *history[-1:]]
