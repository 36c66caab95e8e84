"""How a run goes, as arithmetic alone: what happens when, and how a search for a limit ends. Starts nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

# Long enough for sockets to be seen as lost, shorter than the client's longest wait between two attempts.
CUT_SECONDS = 5.0
# Of the users of a spike, so many are there before it.
AWAKE_BEFORE_SPIKE = 0.25


class Action(StrEnum):
    """What a stretch of a run begins with."""

    NOTHING = "nothing"
    CUT = "cut"
    RESTORE = "restore"
    DOZE = "doze"
    WAKE = "wake"
    DRAIN = "drain"
    DEPLOY = "deploy"


@dataclass(frozen=True, slots=True)
class Stretch:
    """From so many seconds into the hold on, under a name that the report's plots show."""

    at_seconds: float
    name: str
    action: Action = Action.NOTHING


Timeline = Sequence[Stretch]


def ramp(_hold_seconds: float) -> Timeline:
    """All users come, work, and that is all. A soak is the same for hours, and watches memory grow."""
    return ()


def spike(hold_seconds: float) -> Timeline:
    """A quarter of the users, then within a moment all of them, then a quarter again. All have logged in before."""
    return (
        Stretch(0.0, "a quarter", Action.DOZE),
        Stretch(hold_seconds / 3, "spike", Action.WAKE),
        Stretch(hold_seconds * 2 / 3, "a quarter again", Action.DOZE),
    )


def storm(hold_seconds: float) -> Timeline:
    """Every socket is lost at once, and all come back at once when the network does."""
    at = hold_seconds / 3
    return (
        Stretch(at, "cut", Action.CUT),
        Stretch(at + min(CUT_SECONDS, hold_seconds / 3), "storm", Action.RESTORE),
    )


def drain(hold_seconds: float) -> Timeline:
    """One node ends as it does when it is scaled away, and is started again."""
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
    # The hold of each step is a ramp's; `Search` says how they follow one another.
    "steps": ramp,
}


def due(timeline: Timeline, *, before: float, now: float) -> list[Stretch]:
    """The stretches that begin after one moment of the hold, up to another; `before` is -1 at first."""
    return [stretch for stretch in timeline if before < stretch.at_seconds <= now]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search as it went. `starved` says why the generator could not tell, where it could not."""

    users: int
    p95_ms: float | None
    starved: str = ""
    since: int = 0
    until: int = 0


@dataclass
class Search:
    """Steps until p95 crosses a limit: the most users at which it was kept.

    A search that the generator ended, or the number of users that it may use, knows that there are at least so many.
    """

    step: int
    most: int
    limit_ms: float
    steps: list[Step] = field(default_factory=list)
    ended: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.most:
            raise ValueError(f"a step of {self.step} users does not fit into {self.most}")

    @property
    def wanted(self) -> int:
        """How many users the step that runs has."""
        return min(self.most, self.step * (len(self.steps) + 1))

    @property
    def kept(self) -> Sequence[Step]:
        """The steps up to the first that did not keep the limit."""
        return list(itertools.takewhile(self._keeps, self.steps))

    @property
    def users(self) -> int:
        return max((step.users for step in self.kept), default=0)

    @property
    def at_least(self) -> bool:
        """Whether something else than the limit ended the search."""
        return len(self.kept) == len(self.steps) or bool(self.steps[len(self.kept)].starved)

    def went(self, step: Step) -> bool:
        """Take a step's result; whether another follows."""
        self.steps.append(step)
        if step.starved:
            self.ended = f"the generator was the bottleneck at {step.users:,} users: {step.starved}"
        elif step.p95_ms is None:
            self.ended = f"nothing was delivered at {step.users:,} users"
        elif step.p95_ms > self.limit_ms:
            self.ended = f"p95 was {step.p95_ms:,.0f} ms at {step.users:,} users"
        elif step.users >= self.most:
            self.ended = f"no more than {self.most:,} users were allowed"
        return not self.ended

    def gave_up(self, why: str) -> None:
        """A step that could not even begin."""
        self.ended = why

    def __str__(self) -> str:
        least = "at least " if self.at_least else ""
        return f"max users at p95 of {self.limit_ms:,.0f} ms: {least}{self.users:,} ({self.ended or 'not ended'})"

    def _keeps(self, step: Step) -> bool:
        return not step.starved and step.p95_ms is not None and step.p95_ms <= self.limit_ms
