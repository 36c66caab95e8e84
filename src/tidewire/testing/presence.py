"""Presence in the memory of one process."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from tidewire.families import family
from tidewire.presence import TAG_BITS, Members, Presence, PresenceKey, Touched, version_number
from tidewire.presence.witness import Witness

# A reader with an older version of an index must read the whole value.
LINEAGE_LENGTH = 1000


class MemoryPresence(Presence):
    """The interface `Presence` without I/O.

    Args:
        lease_seconds: A node that is not touched for this long is dead: the setting LEASE_SECONDS.
        grace_seconds: A member leaves this long after the last connection: the setting GRACE_SECONDS.
        indexes: State topics of whole families: the setting PRESENCE_INDEXES.
        clock: Returns the time in seconds.

    Example:
        >>> import asyncio
        >>> presence = MemoryPresence(lease_seconds=10, grace_seconds=3, indexes={})
        >>> changed = presence.bump("document.7")
        >>> [version] = asyncio.run(presence.versions(["document.7"]))
        >>> version > 0
        True

    """

    def __init__(
        self,
        *,
        lease_seconds: float,
        grace_seconds: float,
        indexes: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lease = lease_seconds - grace_seconds
        self._grace = grace_seconds
        self._indexes = indexes
        self._clock = clock
        self._nodes: dict[str, float] = {}
        self._connections: dict[str, dict[PresenceKey, int]] = defaultdict(dict)
        self._deadlines: dict[PresenceKey, float] = {}
        self._members: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._numbers: dict[str, int] = {}
        self._versions: dict[str, int] = defaultdict(int)
        self._changed: dict[str, dict[str, int]] = defaultdict(dict)
        # The newest versions of each index.
        self._lineage: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=LINEAGE_LENGTH))

    async def touch(self, node: Witness) -> Touched:
        number, now = node.next(), self._clock()
        known = node.acknowledged == 0 or (self._nodes.get(node.name, 0.0) > now and self._has(node))
        if known:
            self._nodes[node.name] = now + self._lease
            self._numbers[node.name] = number
            node.acknowledge(number)
        return Touched(known, len(self._connections.get(node.name, ())))

    async def put(self, node: Witness, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        number = node.next()
        kept, changed = self._write(node, number, counts)
        if kept:
            node.acknowledge(number)
        return kept, changed

    async def end(self, names: Sequence[str]) -> None:
        for name in self._nodes.keys() & set(names):
            self._nodes[name] = 0.0

    async def sweep(self) -> set[str]:
        now = self._clock()
        for node in [node for node, end in self._nodes.items() if end <= now]:
            end = self._nodes.pop(node)
            # The same as in release.lua.
            late = now - end >= self._grace / 2
            self._numbers.pop(node, None)
            for key in list(self._connections.pop(node, {})):
                deadline = now if late else max(end, self._deadlines.get(key, 0.0) - self._grace)
                self._deadlines[key] = self._grace + deadline
        changed: set[str] = set()
        for key in [key for key, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[key]
            if not self._is_connected(key) and key.member in self._members.get(key[:2], ()):
                del self._members[key[:2]][key.member]
                if not self._members[key[:2]]:
                    del self._members[key[:2]]
                changed |= self.bump(key.topic)
        return changed

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        names_by_key = [tuple(self._members.get(key, ())) for key in asked]
        return [Members(len(members), members[: names if names >= 0 else None]) for members in names_by_key]

    async def versions(self, topics: Sequence[str]) -> list[int]:
        return [self._versions.get(topic, 0) for topic in topics]

    async def changed(self, index: str, since: int) -> list[str] | None:
        if since == 0:
            indexed = [topic for (topic, _phase), members in self._members.items() if members]
            return sorted({topic for topic in indexed if self._indexes.get(family(topic)) == index})
        if since not in self._lineage[index]:
            return None
        return [topic for topic, version in self._changed[index].items() if version > since]

    def _write(self, node: Witness, number: int, counts: Iterable[tuple[PresenceKey, int]]) -> tuple[bool, set[str]]:
        """Equivalent of put.lua."""
        if node.name not in self._nodes or not self._has(node) or self._numbers[node.name] > number:
            return False, set()
        changed: set[str] = set()
        for key, count in counts:
            changed |= self._put(node.name, key, count)
        self._numbers[node.name] = number
        return True, changed

    def _has(self, node: Witness) -> bool:
        return self._numbers.get(node.name, -1) >= node.acknowledged

    def _put(self, node: str, key: PresenceKey, count: int) -> set[str]:
        if count == 0:
            if self._connections[node].pop(key, 0):
                # The same as in put.lua.
                self._deadlines[key] = self._clock() + self._grace
            return set()
        self._connections[node][key] = count
        self._deadlines.pop(key, None)
        if key.member in self._members[key[:2]]:
            return set()
        self._members[key[:2]][key.member] = None
        return self.bump(key.topic)

    def _is_connected(self, key: PresenceKey) -> bool:
        return any(key in connections for connections in self._connections.values())

    def bump(self, topic: str) -> set[str]:
        """Give a state topic its next version.

        Args:
            topic: Name of the topic.

        Returns:
            The topics that changed: this one and its index.

        """
        self._next_version(topic)
        index = self._indexes.get(family(topic))
        if index is None:
            return {topic}
        changed = self._changed[index]
        # Inserted at the end, as the newest.
        changed.pop(topic, None)
        version = changed[topic] = self._next_version(index)
        if len(changed) > LINEAGE_LENGTH:
            del changed[next(iter(changed))]
        self._lineage[index].append(version)
        return {topic, index}

    def _next_version(self, topic: str) -> int:
        number = max(version_number(self._versions[topic]) + 1, int(self._clock() * 1000))
        self._versions[topic] = number << TAG_BITS | random.getrandbits(TAG_BITS)
        return self._versions[topic]
