"""The edit lease: who may type, as everybody who edits is told. The interface; `redis` and `memory` implement it.

It only advises. What keeps a stale save out is the version column that the UPDATE compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

# take: comes, or comes back, and has the lease if nobody has it.
# touch: is still there. Renews the holder's lease, or the ask; who waits gets one that ended.
# ask: wants it; the holder may answer, and who never answers loses it.
# hand_over, keep: the holder's answers to who asked.
# leave: closed the page. Whoever reloads is back within the grace.
Step = Literal["take", "touch", "ask", "hand_over", "keep", "leave"]


class Editor(NamedTuple):
    """A member who edits what a topic is about."""

    topic: str
    member: str


class Move(NamedTuple):
    """One step of one editor; `asker` is whom the holder answers."""

    step: Step
    editor: Editor
    asker: str = ""


class Moved(NamedTuple):
    """What became of a move: whether its editor holds the lease now, and whether anything shows differently."""

    holds: bool
    changed: bool


@dataclass(frozen=True)
class EditLease:
    """Who holds a lease, and who asks for it."""

    holder: str | None = None
    asker: str | None = None


class EditLeases(Protocol):
    """Leases by topic. All methods may raise `NoRedis`."""

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        """Make these moves, each at once and by itself. Repeating one is harmless."""

    async def look(self, topics: Sequence[str]) -> list[EditLease]:
        """Each topic's lease."""
