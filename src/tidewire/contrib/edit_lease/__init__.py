"""The edit lease: permission to type, as shown to all editors. The interface of `redis` and `memory`.

The lease is advisory. A stale save is prevented by the version column that the UPDATE compares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

# take: the editor opens or reopens the page, and gets the lease if it is free.
# touch: the editor is still there. Renews the holder's lease or the request; a waiting editor gets an expired lease.
# ask: the editor requests the lease. The holder may answer, and loses the lease without an answer in time.
# hand_over, keep: the holder's answers to the asker.
# leave: the editor closed the page. A reload comes back within the grace.
Step = Literal["take", "touch", "ask", "hand_over", "keep", "leave"]


class Editor(NamedTuple):
    """An editor of the subject of a topic."""

    topic: str
    member: str


class Move(NamedTuple):
    """A step of an editor. If the holder replies to a request, `asker` is its author."""

    step: Step
    editor: Editor
    asker: str = ""


class Moved(NamedTuple):
    """The result of a move: whether its editor is the holder now, and whether the visible state changed."""

    is_holder: bool
    changed: bool


@dataclass(frozen=True)
class EditLease:
    """The holder of a lease and the author of a request for it."""

    holder: str | None = None
    asker: str | None = None


class EditLeases(Protocol):
    """Leases by topic. All methods may raise `RedisUnavailable`."""

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        """Apply these moves, each of them atomically. A move can be repeated safely."""

    async def read(self, topics: Sequence[str]) -> list[EditLease]:
        """Return each topic's lease."""
