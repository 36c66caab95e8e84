"""Presence: the members of a topic, in which phase. The interface; `redis` and `memory` implement it.

A node tells, per topic, phase and member, how many connections it holds. The store derives the members.

A version is one integer: 32 bits of tag below a number that grows with each change. Equal versions are the same value,
also after Redis lost changes and made others under the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tidewire.witness import Witness

TAG_BITS = 32


def version_number(version: int) -> int:
    """A version's number, which is all that an event carries of it: JavaScript's integers have 53 bits."""
    return version >> TAG_BITS


class Hold(NamedTuple):
    """A member on a topic in a phase, as one node holds it. Topic and phase contain no `|`; a user's name may."""

    topic: str
    phase: str
    member: str

    @property
    def key(self) -> str:
        """The hold as one string, as Redis stores it."""
        return f"{self.topic}|{self.phase}|{self.member}"

    @classmethod
    def of(cls, key: str) -> "Hold":
        """Read a hold from its `key`."""
        topic, phase, member = key.split("|", 2)
        return cls(topic, phase, member)


@dataclass(frozen=True)
class Members:
    """Who is on a topic in one phase: how many, and the names of those there longest."""

    count: int
    names: tuple[str, ...]


class Touched(NamedTuple):
    """What a touch found: whether all acknowledged writes of the node are here, and the number of its holds."""

    known: bool
    holds: int


class Presence(Protocol):
    """Members of topics, kept by leases of nodes. All methods may raise `NoRedis`.

    A node is a `Witness`, under whose name nothing is acknowledged until its first touch, which registers it.
    """

    async def touch(self, node: Witness) -> Touched:
        """Renew the node's lease. Not known: the lease has ended, or acknowledged writes were lost.

        Then the node takes another name, registers, puts every hold again and ends its old name.
        """

    async def put(self, node: Witness, counts: Iterable[tuple[Hold, int]]) -> tuple[bool, set[str]]:
        """Set the node's number of connections on each hold; 0 gives it up.

        Returns whether the node is known, as for `touch` (False: nothing was kept), and the topics whose members
        changed.
        """

    async def end(self, names: Sequence[str]) -> None:
        """End the leases of these nodes, which are no more; their members leave after the grace."""

    async def sweep(self) -> set[str]:
        """Remove members whose deadline has passed; give up the holds of ended nodes. Returns the topics that changed.

        Compares each member with the nodes' holds once in a while, and corrects what differs for whatever reason.
        """

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        """The members of each (topic, phase), with at most so many names (-1: all)."""

    async def versions(self, topics: Sequence[str]) -> list[int]:
        """The version of each state topic; 0 where nothing is known of it."""

    async def changed(self, index: str, since: int) -> list[str] | None:
        """Topics under an index that changed after a version of the index; those with members for 0.

        None where that version is too old, or is not in the history of this Redis: read the whole.
        """
