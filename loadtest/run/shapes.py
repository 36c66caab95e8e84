"""The shapes of runs as arithmetic: the time of each action, and the end of a search for a limit. Starts nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Long enough for sockets to be detected as lost, and shorter than the client's longest delay between two attempts.
DISCONNECTED_SECONDS = 5.0
# Share of a spike's users that are on a page before it.
ACTIVE_BEFORE_SPIKE = 0.25


class Action(StrEnum):
    """The action at the start of a stretch of a run."""

    NOTHING = "nothing"
    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"
    DEACTIVATE = "deactivate"
    ACTIVATE = "activate"
    DRAIN = "drain"
    DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the hold that starts after this many seconds, with a name for the report's plots."""

    at_seconds: float
    name: str
    action: Action = Action.NOTHING


Timeline = Sequence[Stretch]


def ramp(_hold_seconds: float) -> Timeline:
    """All users come and work. A soak is a ramp over hours, which shows whether memory grows."""
    return ()


def spike(hold_seconds: float) -> Timeline:
    """A quarter of the users, then all of them at once, then a quarter again. All have logged in before."""
    return (
        Stretch(0.0, "a quarter", Action.DEACTIVATE),
        Stretch(hold_seconds / 3, "spike", Action.ACTIVATE),
        Stretch(hold_seconds * 2 / 3, "a quarter again", Action.DEACTIVATE),
    )


def storm(hold_seconds: float) -> Timeline:
    """All sockets are lost at once, and all reconnect at once when the network returns."""
    at = hold_seconds / 3
    return (
        Stretch(at, "disconnected", Action.DISCONNECT),
        Stretch(at + min(DISCONNECTED_SECONDS, hold_seconds / 3), "storm", Action.RECONNECT),
    )


def drain(hold_seconds: float) -> Timeline:
    """A node ends as it does when the installation is scaled down, and is started again."""
    return (Stretch(hold_seconds / 3, "drain", Action.DRAIN),)


def deploy(hold_seconds: float) -> Timeline:
    """Every node ends and comes back, one after another."""
    return (Stretch(hold_seconds / 4, "deploy", Action.DEPLOY),)


SHAPES: Mapping[str, Callable[[float], Timeline]] = {
    "ramp": ramp,
    "spike": spike,
    "storm": storm,
    "drain": drain,
    "deploy": deploy,
    "soak": ramp,
    # Each step has the hold of a ramp; `Search` decides on the next step.
    "steps": ramp,
}


def due(timeline: Timeline, *, before: float, now: float) -> list[Stretch]:
    """Return the stretches that start after `before`, up to `now`; `before` is -1 at first."""
    return [stretch for stretch in timeline if before < stretch.at_seconds <= now]


@dataclass(frozen=True, slots=True)
class Step:
    """The result of a search's step.

    `starved` has the reason if the generator could not measure it, and `broken` the objectives that the product did not
    keep, each with its value and limit.
    """

    users: int
    p95_ms: float | None
    starved: str = ""
    broken: Sequence[str] = ()
    since: int = 0
    until: int = 0


@dataclass
class Search:
    """Steps until an objective is broken. The result is the greatest number of users that kept all of them.

    If the generator or the maximum number of users ended the search, the result is a lower bound.
    """

    step: int
    most: int
    steps: list[Step] = field(default_factory=list)
    ended: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.most:
            raise ValueError(f"a step of {self.step} users does not fit into {self.most}")

    @property
    def wanted(self) -> int:
        """The number of users of the current step."""
        return min(self.most, self.step * (len(self.steps) + 1))

    @property
    def kept(self) -> Sequence[Step]:
        """The steps up to the first that did not keep all objectives."""
        return list(itertools.takewhile(self._keeps, self.steps))

    @property
    def users(self) -> int:
        return max((step.users for step in self.kept), default=0)

    @property
    def at_least(self) -> bool:
        """Whether the search ended for another reason than a broken objective."""
        return len(self.kept) == len(self.steps) or bool(self.steps[len(self.kept)].starved)

    @property
    def problem(self) -> str:
        """The reason for which an ended search has no result."""
        return f"no step kept all objectives: {self.ended}" if self.ended and not self.kept else ""

    def went(self, step: Step) -> bool:
        """Record a step's result, and return whether another step must follow."""
        self.steps.append(step)
        if step.starved:
            bottleneck = f"the generator was the bottleneck at {step.users:,} users: {step.starved}"
            self.ended = "; ".join((bottleneck, *step.broken))
        elif step.p95_ms is None:
            self.ended = "; ".join((f"nothing was delivered at {step.users:,} users", *step.broken))
        elif step.broken:
            self.ended = f"at {step.users:,} users {'; '.join(step.broken)}"
        elif step.users >= self.most:
            self.ended = f"no more than {self.most:,} users were allowed"
        return not self.ended

    def gave_up(self, why: str) -> None:
        """Record that a step could not start."""
        self.ended = why

    def __str__(self) -> str:
        least = "at least " if self.at_least else ""
        return f"max users within all objectives: {least}{self.users:,} ({self.ended or 'not ended'})"

    def _keeps(self, step: Step) -> bool:
        return not step.starved and step.p95_ms is not None and not step.broken
