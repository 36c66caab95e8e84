"""Presence in one process's memory: for tests and for a project that runs one node."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from tidewire.families import family
from tidewire.presence import Hold, Members


class MemoryPresence:
    """The interface `Presence` without I/O. `clock` gives seconds."""

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
        self._holds: dict[str, dict[Hold, int]] = defaultdict(dict)
        self._deadlines: dict[Hold, float] = {}
        self._members: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._versions: dict[str, int] = defaultdict(int)
        self._changed: dict[str, dict[str, int]] = defaultdict(dict)

    async def touch(self, node: str, *, register: bool = False) -> bool:
        lease_end = self._nodes.get(node)
        now = self._clock()
        if (lease_end is None and not register) or (lease_end is not None and lease_end <= now):
            return False
        self._nodes[node] = now + self._lease
        return True

    async def put(self, node: str, counts: Iterable[tuple[Hold, int]]) -> tuple[bool, set[str]]:
        if node not in self._nodes:
            return False, set()
        changed: set[str] = set()
        for hold, count in counts:
            changed |= self._put(node, hold, count)
        return True, changed

    async def sweep(self) -> set[str]:
        now = self._clock()
        for node in [node for node, end in self._nodes.items() if end <= now]:
            end = self._nodes.pop(node)
            # As in release.lua.
            late = now - end >= self._grace / 2
            for hold in list(self._holds.pop(node, {})):
                if not self._held(hold):
                    deadline = self._grace + (now if late else end)
                    self._deadlines[hold] = max(deadline, self._deadlines.get(hold, 0.0))
        changed: set[str] = set()
        for hold in [hold for hold, deadline in self._deadlines.items() if deadline <= now]:
            del self._deadlines[hold]
            if not self._held(hold) and hold.member in self._members[hold[:2]]:
                del self._members[hold[:2]][hold.member]
                changed |= self.bump(hold.topic)
        return changed

    async def members(self, asked: Sequence[tuple[str, str]], *, names: int) -> list[Members]:
        found = [tuple(self._members[key]) for key in asked]
        return [Members(len(members), members[: names if names >= 0 else None]) for members in found]

    async def versions(self, topics: Sequence[str]) -> list[int]:
        return [self._versions[topic] for topic in topics]

    async def changed(self, index: str, since: int) -> list[str]:
        return [topic for topic, version in self._changed[index].items() if version > since]

    def _put(self, node: str, hold: Hold, count: int) -> set[str]:
        if count == 0:
            if self._holds[node].pop(hold, 0):
                # As in hold.lua.
                self._deadlines[hold] = self._clock() + self._grace
            return set()
        self._holds[node][hold] = count
        self._deadlines.pop(hold, None)
        if hold.member in self._members[hold[:2]]:
            return set()
        self._members[hold[:2]][hold.member] = None
        return self.bump(hold.topic)

    def _held(self, hold: Hold) -> bool:
        return any(hold in holds for holds in self._holds.values())

    def bump(self, topic: str) -> set[str]:
        """Give a state topic its next version. Returns the topics that changed."""
        self._next_version(topic)
        index = self._indexes.get(family(topic))
        if index is None:
            return {topic}
        self._changed[index][topic] = self._next_version(index)
        return {topic, index}

    def _next_version(self, topic: str) -> int:
        # By the clock, as in Redis, so that what was lost never comes to the same version again.
        self._versions[topic] = max(self._versions[topic] + 1, int(self._clock() * 1000))
        return self._versions[topic]
