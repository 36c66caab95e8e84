"""Presence: the members of a topic, by phase. The interface of `redis` and `memory`.

A node sends its number of connections per topic, phase and member. The store derives the members from them. Leases are
those of Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism for distributed file cache consistency"
(1989).

A version is one integer: 32 bits of tag below a number that grows with each change. Equal versions are the same value,
even if Redis lost changes and made others under the same numbers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tidewire.presence.witness import Witness

__all__ = ["Members", "Presence", "PresenceKey", "Touched", "version_number"]

TAG_BITS = 32


def version_number(version: int) -> int:
    """Return a version's number without its tag, for events: JavaScript's integers have 53 bits.

    Args:
        version: A version as `Presence.versions` returns it, with its tag.

    Returns:
        The number, which grows with each change.

    Example:
        >>> version_number((5 << 32) + 12345)
        5

    """
    return version >> TAG_BITS


class PresenceKey(NamedTuple):
    """Identifies a presence entry: a member on a topic in a phase. Topic and phase must not contain `|`; a name may.

    Args:
        topic: Name of the topic.
        phase: The role of the member on it, such as `read`; the project names it.
        member: Name of the member, such as a user name.

    Example:
        >>> PresenceKey("document.7", "read", "ada").text
        'document.7|read|ada'
        >>> PresenceKey.parse("document.7|read|ada").member
        'ada'

    """

    topic: str
    phase: str
    member: str

    @property
    def text(self) -> str:
        """The key as one string, as Redis stores it."""
        return f"{self.topic}|{self.phase}|{self.member}"

    @classmethod
    def parse(cls, text: str) -> "PresenceKey":
        """Parse a key.

        Args:
            text: Topic, phase and member, joined by `|`.

        Returns:
            The key.

        Raises:
            ValueError: The text has fewer than three parts.

        """
        topic, phase, member = text.split("|", 2)
        return cls(topic, phase, member)


@dataclass(frozen=True)
class Members:
    """The members of a topic in one phase: their number, and the names of the earliest.

    Args:
        count: The number of all members.
        names: Names of the members, the earliest first, up to the number that the caller asked for.

    Example:
        >>> Members(count=2, names=("ada",)).count
        2

    """

    count: int
    names: tuple[str, ...]


class Touched(NamedTuple):
    """The result of a touch: whether all acknowledged writes of the node are present, and the number of its entries.

    Args:
        known: True if the lease is renewed, and the store has all writes that it acknowledged.
        entries: The number of entries that the store has of this node.

    Example:
        >>> Touched(known=True, entries=3).known
        True

    """

    known: bool
    entries: int


class Presence(Protocol):
    """Members of topics, kept by leases of nodes.

    A node is a `Witness`; under its name nothing is acknowledged until its first touch, which registers it. State
    topics of a project call `members` and `changed`; nodes call the other methods.

    Raises:
        RedisUnavailable: Redis did not answer in time; each method may raise it, and may be called again.

    Example:
        >>> import asyncio
        >>> from tidewire.testing import MemoryPresence
        >>> from tidewire.presence.witness import Witness
        >>> async def visit(presence):
        ...     node = Witness("ws-1")
        ...     await presence.touch(node)
        ...     await presence.put(node, [(PresenceKey("document.7", "read", "ada"), 1)])
        ...     [version] = await presence.versions(["document.7"])
        ...     [members] = await presence.members([("document.7", "read")], names=20)
        ...     changed = await presence.changed("documents", since=0)
        ...     await presence.end([node.name])
        ...     await presence.sweep()
        ...     return version_number(version) > 0, members, changed
        >>> presence = MemoryPresence(lease_seconds=10, grace_seconds=3, indexes={"document": "documents"})
        >>> asyncio.run(visit(presence))
        (True, Members(count=1, names=('ada',)), ['document.7'])

    """

    async def touch(self, node: Witness) -> Touched:
        """Renew the node's lease.

        A node that is not `known` must take another name, register, put every entry again and end its old name: its
        lease has ended, or acknowledged writes were lost.

        Args:
            node: The node with the numbers of its writes.

        Returns:
            Whether the node is known, and the number of its entries.

        """

    async def put(self, node: Witness, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        """Set the node's number of connections on each entry.

        Args:
            node: The node with the numbers of its writes.
            counts: Entries with their number of connections; 0 removes an entry.

        Returns:
            Whether the node is known, as for `touch` (False: nothing was stored), and the topics with changed members.

        """

    async def end(self, names: Sequence[str]) -> None:
        """End the leases of these former nodes; their members leave after the grace.

        Args:
            names: Names of the nodes as witnesses. Unknown names are ignored.

        """

    async def sweep(self) -> set[str]:
        """Remove members past their deadline, and the entries of ended nodes.

        Each member is also compared with the nodes' entries from time to time, and any difference is corrected.

        Returns:
            The topics with changed members.

        """

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        """Return the members of topics.

        Args:
            asked: Pairs of topic and phase.
            names: The most names per pair; -1 for all.

        Returns:
            The members of each pair, in the order of the pairs.

        """

    async def versions(self, topics: Sequence[str]) -> list[int]:
        """Return the versions of state topics.

        Args:
            topics: Names of the topics.

        Returns:
            The version of each topic with its tag, in their order; 0 if none is known.

        """

    async def changed(self, index: str, since: int) -> list[str] | None:
        """Return the topics under an index that changed after a version of it.

        Args:
            index: A state topic for a whole family of topics: a value of the setting PRESENCE_INDEXES.
            since: A version of the index with its tag; 0 for all topics with members.

        Returns:
            Names of the topics; None if that version is too old, or unknown to this Redis: the whole value must be
            read.

        """
