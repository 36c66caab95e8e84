"""Presence: the members of a topic, by phase. The interface of `redis` and `memory`.

A node sends its number of connections per topic, phase and member. The store derives the members from them.

A version is one integer: 32 bits of tag below a number that grows with each change. Equal versions are the same value,
even if Redis lost changes and made others under the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tidewire.witness import Witness

TAG_BITS = 32


def version_number(version: int) -> int:
    """Return a version's number without its tag, for events: JavaScript's integers have 53 bits."""
    return version >> TAG_BITS


class Hold(NamedTuple):
    """A node's presence entry: a member on a topic in a phase. Topic and phase must not contain `|`; a name may."""

    topic: str
    phase: str
    member: str

    @property
    def key(self) -> str:
        """The entry as one string, as Redis stores it."""
        return f"{self.topic}|{self.phase}|{self.member}"

    @classmethod
    def of(cls, key: str) -> "Hold":
        """Parse an entry from its `key`."""
        topic, phase, member = key.split("|", 2)
        return cls(topic, phase, member)


@dataclass(frozen=True)
class Members:
    """The members of a topic in one phase: their number, and the names of the earliest."""

    count: int
    names: tuple[str, ...]


class Touched(NamedTuple):
    """The result of a touch: whether all acknowledged writes of the node are present, and the number of its entries."""

    known: bool
    holds: int


class Presence(Protocol):
    """Members of topics, kept by leases of nodes. All methods may raise `NoRedis`.

    A node is a `Witness`; under its name nothing is acknowledged until its first touch, which registers it.
    """

    async def touch(self, node: Witness) -> Touched:
        """Renew the node's lease. Not known: the lease has ended, or acknowledged writes were lost.

        The node must then take another name, register, put every entry again and end its old name.
        """

    async def put(self, node: Witness, counts: Iterable[tuple[Hold, int]]) -> tuple[bool, set[str]]:
        """Set the node's number of connections on each entry; 0 removes it.

        Returns whether the node is known, as for `touch` (False: nothing was stored), and the topics with changed
        members.
        """

    async def end(self, names: Sequence[str]) -> None:
        """End the leases of these former nodes; their members leave after the grace."""

    async def sweep(self) -> set[str]:
        """Remove members past their deadline, and the entries of ended nodes. Returns the topics that changed.

        Each member is also compared with the nodes' entries from time to time, and any difference is corrected.
        """

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        """Return the members of each (topic, phase), with at most this many names (-1: all)."""

    async def versions(self, topics: Sequence[str]) -> list[int]:
        """Return the version of each state topic; 0 if none is known."""

    async def changed(self, index: str, since: int) -> list[str] | None:
        """Return the topics under an index that changed after a version of it; for version 0, those with members.

        None if that version is too old, or unknown to this Redis: the whole value must be read.
        """
