"""A random script of several nodes and users, checked against a simple model of presence."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from hypothesis import note
from hypothesis import strategies as st

from tests.unit.tidewire.presence.presence_suite import DEAD_SECONDS, GRACE_SECONDS, LEASE_SECONDS, Place
from tidewire.presence import PresenceKey
from tidewire.presence.node import NodePresence

NODES = ("a", "b", "c")
TOPICS = ("doc.plan", "doc.other")
PRESENCE_KEYS = tuple(
    PresenceKey(topic, phase, member) for topic in TOPICS for phase in ("read", "update") for member in ("ada", "bob")
)
TOPIC_PHASES = sorted({key[:2] for key in PRESENCE_KEYS})
TICK_SECONDS = 1.0
# The longest real time that a step may take.
MARGIN_SECONDS = 0.5
HAPPENINGS = (
    *("connect",) * 4,
    *("disconnect",) * 3,
    "tick",
    "tick",
    "wait",
    "freeze",
    "thaw",
    "kill",
    "start",
    "flush",
)
# Two bytes per step, which are cheap to draw and to shrink.
scripts = st.binary(min_size=60, max_size=160)


class Gone:
    """An entry that no running node has: the time of its removal, and which sweeps may have seen it."""

    def __init__(self, at: float) -> None:
        self.at = at
        # A sweep after the end of the lease starts the grace; a sweep after the grace removes the member.
        self.seen_at: float | None = None
        self.over = False


class Model:
    """A cluster of nodes on one store. Registers update the store; the model knows which users are connected."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.announced: list[str] = []
        self.presences: dict[str, NodePresence] = {}
        self.frozen: set[str] = set()
        self.connected: dict[str, Counter[PresenceKey]] = defaultdict(Counter)
        self.gone: dict[PresenceKey, Gone] = {}
        # The store has lost everything, and the running nodes have not restored it yet.
        self.emptied = False
        self.seen: dict[str, tuple[int, object]] = {}
        self.seen_index = 0

    async def play(self, script: bytes) -> None:
        for node in NODES:
            await self.start(node, PRESENCE_KEYS[0])
        for name, n in zip(script[::2], script[1::2], strict=False):
            happening = HAPPENINGS[name % len(HAPPENINGS)]
            node, key = NODES[n % len(NODES)], PRESENCE_KEYS[n // len(NODES) % len(PRESENCE_KEYS)]
            note(f"{happening} {node} {key.text}")
            self.announced.clear()
            await getattr(self, happening)(node, key)
            await self.check()
        await self.come_to_rest()

    async def start(self, node: str, _hold: PresenceKey) -> None:
        """Start a process, under the name of a killed one if there is one."""
        if node not in self.presences:
            self.presences[node] = NodePresence(
                self.place.presence, node=node, touch_seconds=TICK_SECONDS, announce=self._announce
            )
            await self._run_second(node)

    async def connect(self, node: str, key: PresenceKey) -> None:
        if self._lives(node):
            self.connected[node][key] += 1
            self.presences[node].join(key)
            await self.presences[node]._put()
            self.gone.pop(key, None)

    async def disconnect(self, node: str, key: PresenceKey) -> None:
        if self._lives(node) and self.connected[node][key]:
            self.connected[node][key] -= 1
            self.presences[node].leave(key)
            self._release([key], await self.place.now())
            await self.presences[node]._put()

    async def tick(self, _node: str = "", _hold: PresenceKey = PRESENCE_KEYS[0]) -> None:
        """Let a second pass, and let each running node do its work of a second."""
        await self.place.pass_time(TICK_SECONDS)
        for node in self.presences:
            if self._lives(node):
                await self._run_second(node)
        self.emptied = False

    async def wait(self, _node: str, _hold: PresenceKey) -> None:
        """Let a moment pass in which no node does anything."""
        await self.place.pass_time(TICK_SECONDS / 4)

    async def freeze(self, node: str, _hold: PresenceKey) -> None:
        """Suspend a node, as when its container is paused or its loop is blocked."""
        if self._lives(node):
            self.frozen.add(node)
            self._release(+self.connected[node], await self.place.now())

    async def thaw(self, node: str, _hold: PresenceKey) -> None:
        """Resume a suspended node with all its sockets."""
        if node in self.frozen:
            self.frozen.discard(node)
            await self._run_second(node)
            for key in +self.connected[node]:
                self.gone.pop(key, None)

    async def kill(self, node: str, _hold: PresenceKey) -> None:
        """Kill a node, as kill -9 does: it cannot update the store."""
        if node in self.presences:
            lived = self._lives(node)
            del self.presences[node]
            self.frozen.discard(node)
            connections = +self.connected.pop(node, Counter())
            if lived:
                self._release(connections, await self.place.now())

    async def flush(self, _node: str, _hold: PresenceKey) -> None:
        await self.place.next_moment()
        await self.place.flush()
        self.emptied = True
        self.gone.clear()
        self.seen.clear()
        self.seen_index = 0

    async def check(self) -> None:
        members = {key: set(await self.place.names(*key)) for key in TOPIC_PHASES}
        now = await self.place.now()
        for key in PRESENCE_KEYS:
            present = key.member in members[key[:2]]
            gone = self.gone.get(key)
            if self._nodes_of(key):
                assert present or self.emptied, f"{key.text} is connected and absent"
            elif gone is not None and now - gone.at < GRACE_SECONDS:
                assert present, f"{key.text} left within the grace"
            elif gone is not None and gone.over:
                assert not present, f"{key.text} is a ghost"
        for topic in TOPICS:
            await self._check_version(topic, [sorted(members[key]) for key in TOPIC_PHASES if key[0] == topic])
        self.seen_index = await self.place.version("docs")

    async def come_to_rest(self) -> None:
        """Check that the members are exactly the users that are connected to a running node."""
        for node in list(self.frozen):
            await self.thaw(node, PRESENCE_KEYS[0])
        for node in NODES:
            await self.start(node, PRESENCE_KEYS[0])
        for _ in range(int(LEASE_SECONDS) + 3):
            await self.tick()
        for topic, phase in TOPIC_PHASES:
            connected = {key.member for key in PRESENCE_KEYS if key[:2] == (topic, phase) and self._nodes_of(key)}
            assert set(await self.place.names(topic, phase)) == connected

    async def _check_version(self, topic: str, value: object) -> None:
        """Check that the version changes exactly if the value does, and that each change is announced."""
        version = await self.place.version(topic)
        version_before, value_before = self.seen.get(topic, (version, value))
        self.seen[topic] = version, value
        assert version >= version_before
        if value != value_before:
            assert version > version_before
            assert topic in self.announced
            assert "docs" in self.announced
            if self.seen_index:
                assert topic in await self.place.presence.changed("docs", self.seen_index)
        elif version != version_before:
            assert self.announced.count(topic) > 1, "a flicker"

    def _lives(self, node: str) -> bool:
        return node in self.presences and node not in self.frozen

    def _nodes_of(self, key: PresenceKey) -> list[str]:
        return [node for node in self.presences if self._lives(node) and self.connected[node][key]]

    def _release(self, keys: Iterable[PresenceKey], now: float) -> None:
        for key in keys:
            if self.emptied:
                # The node may or may not have restored the entry before.
                self.gone.pop(key, None)
            elif not self._nodes_of(key) and key not in self.gone:
                self.gone[key] = Gone(now)

    async def _run_second(self, node: str) -> None:
        now = await self.place.now()
        await self.presences[node]._touch()
        await self.presences[node]._put()
        for gone in self.gone.values():
            if gone.seen_at is not None and now > gone.seen_at + GRACE_SECONDS:
                gone.over = True
            elif gone.seen_at is None and now > gone.at + DEAD_SECONDS + MARGIN_SECONDS:
                gone.seen_at = await self.place.now()

    async def _announce(self, topics: set[str]) -> None:
        self.announced += sorted(topics)
