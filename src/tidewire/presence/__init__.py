"""Presence: who is on a topic, in which phase. The interface; `redis` and `memory` implement it.

A node tells, per topic, phase and member, how many connections it holds. The store derives the members.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


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


class Presence(Protocol):
    """Members of topics, kept by leases of nodes. All methods may raise `NoRedis`."""

    async def touch(self, node: str, *, register: bool = False) -> bool:
        """Renew the node's lease. False: its lease had ended; `sweep`, register, then put every hold again."""

    async def put(self, node: str, counts: Iterable[tuple[Hold, int]]) -> tuple[bool, set[str]]:
        """Set the node's number of connections on each hold; 0 gives it up.

        Returns whether the node has a lease (False: nothing was kept), and the topics whose members changed.
        """

    async def sweep(self) -> set[str]:
        """Take off whose deadline has passed; give up the holds of ended nodes. Returns the topics that changed."""

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        """The members of each (topic, phase), with at most so many names (-1: all)."""

    async def versions(self, topics: Sequence[str]) -> list[int]:
        """The version of each state topic; 0 where nothing is known of it."""

    async def changed(self, index: str, since: int) -> list[str]:
        """Topics under an index that changed after a version of the index."""
