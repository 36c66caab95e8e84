"""The guarantees of presence, as tests that run with every implementation."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from tidewire.presence import Members, Presence, PresenceKey
from tidewire.presence.witness import Witness

LEASE_SECONDS = 10.0
GRACE_SECONDS = 3.0
# The grace is part of the lease, so a node counts as dead this long after its last touch.
DEAD_SECONDS = LEASE_SECONDS - GRACE_SECONDS
PRESENCE_INDEXES = {"doc": "docs"}

ADA = PresenceKey("doc.plan", "read", "ada")
BOB = PresenceKey("doc.plan", "read", "bob")
ADA_WRITES = PresenceKey("doc.plan", "update", "ada")
ELSEWHERE = PresenceKey("doc.other", "read", "ada")
USERS = PresenceKey("users", "online", "ada")


class Place(ABC):
    """A store of presence, with a clock that a test can advance."""

    presence: Presence

    def __init__(self) -> None:
        self._witnesses: dict[str, Witness] = {}

    def witness(self, node: str) -> Witness:
        return self._witnesses.setdefault(node, Witness(node))

    @abstractmethod
    async def now(self) -> float:
        """Return the store's clock in seconds, including the time that a test has let pass."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Advance the store's clock by this many seconds."""

    @abstractmethod
    async def next_moment(self) -> None:
        """Wait until the store's clock shows a different time."""

    @abstractmethod
    async def flush(self) -> None:
        """Delete everything, as FLUSHALL does."""

    async def live(self, *nodes: str) -> None:
        for node in nodes:
            self._witnesses.pop(node, None)
            assert await self.touch(node)

    async def touch(self, node: str) -> bool:
        return (await self.presence.touch(self.witness(node))).known

    async def put(self, node: str, *keys: PresenceKey, count: int = 1) -> set[str]:
        known, changed = await self.presence.put(self.witness(node), [(key, count) for key in keys])
        assert known
        return changed

    async def names(self, topic: str = "doc.plan", phase: str = "read") -> tuple[str, ...]:
        [members] = await self.presence.members([(topic, phase)], names=-1)
        assert members.count == len(members.names)
        return members.names

    async def version(self, topic: str = "doc.plan") -> int:
        [version] = await self.presence.versions([topic])
        return version

    async def touch_all(self, nodes: Sequence[str]) -> None:
        for node in nodes:
            assert await self.touch(node)

    async def outlive(self, seconds: float, *nodes: str) -> set[str]:
        """Let time pass while these nodes touch and sweep every second. Returns the topics that changed."""
        changed: set[str] = set()
        while seconds > 0:
            await self.pass_time(min(seconds, 1.0))
            seconds -= 1.0
            await self.touch_all(nodes)
            changed |= await self.presence.sweep()
        return changed


class PresenceSuite:
    """Subclasses must provide the fixture `place`."""

    async def test_nobody_is_anywhere_at_first(self, place):
        """An empty store has no members, versions or changes."""
        assert await place.presence.members([("doc.plan", "read")], names=20) == [Members(0, ())]
        assert await place.presence.versions(["doc.plan", "users"]) == [0, 0]
        assert await place.presence.versions([]) == []
        assert await place.presence.members([], names=20) == []
        assert await place.presence.changed("docs", 0) == []
        assert await place.presence.sweep() == set()

    async def test_a_member_joins(self, place):
        """A user's first connection adds a member, and returns the topics that show it."""
        await place.live("a")
        assert await place.put("a", ADA) == {"doc.plan", "docs"}
        assert await place.names() == ("ada",)
        assert await place.version() > 0
        assert await place.version("docs") > 0
        assert await place.presence.changed("docs", 0) == ["doc.plan"]

    async def test_a_topic_of_no_index_changes_alone(self, place):
        """Only the configured families have an index."""
        await place.live("a")
        assert await place.put("a", USERS) == {"users"}

    async def test_further_connections_change_nothing(self, place):
        """A user with five tabs on two nodes is one member."""
        await place.live("a", "b")
        await place.put("a", ADA)
        version = await place.version()
        assert await place.put("a", ADA, count=5) == set()
        assert await place.put("b", ADA, count=2) == set()
        assert await place.names() == ("ada",)
        assert await place.version() == version

    async def test_a_member_stays_while_any_node_holds_it(self, place):
        """A member that one node removes may still be connected to another."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.put("b", ADA)
        await place.put("a", ADA, count=0)
        assert await place.outlive(GRACE_SECONDS + 2, "a", "b") == set()
        assert await place.names() == ("ada",)
        await place.put("b", ADA, count=0)
        assert await place.outlive(GRACE_SECONDS + 2, "a", "b") == {"doc.plan", "docs"}
        assert await place.names() == ()

    async def test_a_count_may_be_told_any_number_of_times(self, place):
        """Counts are absolute, so a repeat after a lost reply changes nothing."""
        await place.live("a")
        for _ in range(3):
            await place.put("a", ADA, count=2)
        await place.put("a", ADA, count=0)
        await place.put("a", ADA, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.names() == ()

    async def test_giving_up_what_was_not_held_changes_nothing(self, place):
        """A count of zero for an unknown entry neither adds nor removes a member."""
        await place.live("a")
        assert await place.put("a", ADA, count=0) == set()
        assert await place.outlive(GRACE_SECONDS + 1, "a") == set()
        assert await place.version() == 0

    async def test_a_member_leaves_after_the_grace(self, place):
        """The member leaves neither at once nor much later."""
        await place.live("a")
        await place.put("a", ADA)
        version = await place.version()
        assert await place.put("a", ADA, count=0) == set()
        await place.pass_time(GRACE_SECONDS - 0.5)
        assert await place.presence.sweep() == set()
        assert await place.names() == ("ada",)
        await place.pass_time(1.0)
        assert await place.presence.sweep() == {"doc.plan", "docs"}
        assert await place.names() == ()
        assert await place.version() > version

    async def test_who_returns_in_time_neither_left_nor_joined(self, place):
        """A reload is not visible: the version stays the same, so no client is notified."""
        await place.live("a", "b")
        await place.put("a", ADA)
        before = await place.version(), await place.version("docs")
        await place.put("a", ADA, count=0)
        await place.pass_time(GRACE_SECONDS - 0.5)
        assert await place.put("b", ADA) == set()
        assert await place.outlive(GRACE_SECONDS + 2, "a", "b") == set()
        assert (await place.version(), await place.version("docs")) == before
        assert await place.names() == ("ada",)

    async def test_who_returns_late_but_unswept_never_left(self, place):
        """A leave takes effect when it is swept; until then the member may return."""
        await place.live("a")
        await place.put("a", ADA)
        await place.put("a", ADA, count=0)
        await place.pass_time(GRACE_SECONDS + 1)
        assert await place.put("a", ADA) == set()
        assert await place.presence.sweep() == set()
        assert await place.names() == ("ada",)

    async def test_a_leave_is_told_once(self, place):
        """Of two nodes that sweep, one removes the member and the other finds nothing to do."""
        await place.live("a", "b")
        await place.put("a", ADA, BOB)
        await place.put("a", ADA, BOB, count=0)
        await place.pass_time(GRACE_SECONDS + 1)
        assert await place.presence.sweep() == {"doc.plan", "docs"}
        version = await place.version()
        assert await place.presence.sweep() == set()
        assert await place.version() == version

    async def test_phases_are_kept_apart(self, place):
        """A user that reads and writes is two members, each with its own end."""
        await place.live("a")
        await place.put("a", ADA, ADA_WRITES)
        asked = [("doc.plan", "read"), ("doc.plan", "update"), ("doc.other", "read")]
        assert await place.presence.members(asked, names=20) == [
            Members(1, ("ada",)),
            Members(1, ("ada",)),
            Members(0, ()),
        ]
        await place.put("a", ADA_WRITES, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.names(phase="read") == ("ada",)
        assert await place.names(phase="update") == ()

    async def test_topics_are_kept_apart(self, place):
        """A change of one topic does not change another, but both appear in their index."""
        await place.live("a")
        await place.put("a", ADA)
        index = await place.version("docs")
        other = await place.version("doc.plan")
        await place.put("a", ELSEWHERE)
        assert await place.version("doc.plan") == other
        assert await place.presence.changed("docs", index) == ["doc.other"]
        assert sorted(await place.presence.changed("docs", 0)) == ["doc.other", "doc.plan"]
        assert await place.presence.changed("docs", await place.version("docs")) == []

    async def test_an_index_names_the_topics_that_have_members(self, place):
        """A topic without members is removed from the index, so that the index cannot grow without limit."""
        await place.live("a")
        await place.put("a", ADA, ADA_WRITES, ELSEWHERE)
        before = await place.version("docs")
        await place.put("a", ADA, ELSEWHERE, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.presence.changed("docs", 0) == ["doc.plan"], "it still has an editor"
        assert sorted(await place.presence.changed("docs", before) or ()) == ["doc.other", "doc.plan"]
        await place.put("a", ADA_WRITES, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.presence.changed("docs", 0) == []
        await place.put("a", ELSEWHERE)
        assert await place.presence.changed("docs", 0) == ["doc.other"]

    async def test_names_are_those_there_longest_and_bounded(self, place):
        """The count includes all members. The number of names is limited, and the earliest members come first."""
        await place.live("a")
        for name in ("eve", "ada", "bob"):
            await place.put("a", PresenceKey("doc.plan", "read", name))
            await place.next_moment()
        [members] = await place.presence.members([("doc.plan", "read")], names=2)
        assert members == Members(3, ("eve", "ada"))
        [none] = await place.presence.members([("doc.plan", "read")], names=0)
        assert none == Members(3, ())
        assert await place.names() == ("eve", "ada", "bob")

    async def test_a_name_may_hold_any_character(self, place):
        """A name may contain the separator of an entry's parts."""
        odd = PresenceKey("doc.plan", "read", "a|b:c|ü 😀")
        await place.live("a")
        await place.put("a", odd)
        assert await place.names() == (odd.member,)
        await place.put("a", odd, count=0)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.names() == ()

    async def test_a_node_without_a_lease_keeps_nothing(self, place):
        """Writes of an unknown node are refused, so that it registers and writes all its entries again."""
        known, changed = await place.presence.put(Witness("a"), [(ADA, 1)])
        assert (known, changed) == (False, set())
        assert await place.names() == ()
        await place.live("a")
        assert await place.touch("a")

    async def test_a_node_that_touches_keeps_its_members(self, place):
        """Members last as long as their node, even if nothing happens to them."""
        await place.live("a")
        await place.put("a", ADA)
        assert await place.outlive(3 * LEASE_SECONDS, "a") == set()
        assert await place.names() == ("ada",)

    async def test_a_dead_node_s_members_leave_with_the_lease(self, place):
        """If nodes sweep every second, the members of a dead node leave one lease after its last touch."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.put("b", BOB)
        assert await place.outlive(DEAD_SECONDS - 0.5, "b") == set()
        assert await place.names() == ("ada", "bob")
        assert await place.outlive(GRACE_SECONDS + 2.5, "b") == {"doc.plan", "docs"}
        assert await place.names() == ("bob",)

    async def test_a_late_sweep_makes_no_ghost_stay_longer(self, place):
        """The grace of a dead node's members starts at the end of its lease, not at the sweep that finds it."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.pass_time(0.8)
        await place.outlive(DEAD_SECONDS, "b")
        await place.pass_time(LEASE_SECONDS + 0.2 - 0.8 - DEAD_SECONDS)
        assert await place.presence.sweep() == {"doc.plan", "docs"}

    async def test_who_let_go_after_the_lease_has_the_whole_grace(self, place):
        """Another node removes a dead node's member before a sweep has found the dead node."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.put("b", ADA)
        await place.outlive(DEAD_SECONDS - 0.5, "b")
        await place.pass_time(0.9)
        await place.put("b", ADA, count=0)
        await place.pass_time(0.2)
        assert await place.presence.sweep() == set()
        await place.pass_time(GRACE_SECONDS - 0.4)
        assert await place.presence.sweep() == set()
        await place.pass_time(0.4)
        assert await place.presence.sweep() == {"doc.plan", "docs"}

    async def test_members_may_return_after_an_outage(self, place):
        """If no node swept for longer than a lease, clients were disconnected too: the grace starts at the sweep."""
        await place.live("a")
        await place.put("a", ADA)
        await place.pass_time(2 * LEASE_SECONDS)
        await place.presence.sweep()
        await place.pass_time(GRACE_SECONDS - 0.5)
        assert await place.presence.sweep() == set()
        assert await place.names() == ("ada",)

    async def test_a_lease_ends_exactly_once(self, place):
        """Two nodes sweep a third one's member, which leaves once, in one version."""
        await place.live("a", "b", "c")
        await place.put("a", ADA)
        version = await place.version()
        changed: list[str] = []
        for _ in range(int(LEASE_SECONDS) + 3):
            await place.pass_time(1.0)
            for node in ("b", "c"):
                await place.touch(node)
                changed += await place.presence.sweep()
        assert sorted(changed) == ["doc.plan", "docs"]
        assert await place.version() > version
        assert await place.names() == ()

    async def test_a_dead_node_s_users_may_return_elsewhere(self, place):
        """A user that reconnects to another node before the lease ends has never left."""
        await place.live("a", "b")
        await place.put("a", ADA)
        version = await place.version()
        await place.outlive(2.0, "b")
        assert await place.put("b", ADA) == set()
        assert await place.outlive(2 * LEASE_SECONDS, "b") == set()
        assert await place.version() == version
        assert await place.names() == ("ada",)

    async def test_a_lapsed_node_registers_under_another_name(self, place):
        """After too long a pause a node must register again and write all its entries, and no member may leave."""
        await place.live("a", "b")
        await place.put("a", ADA)
        version = await place.version()
        await place.pass_time(DEAD_SECONDS + 1)
        assert not await place.touch("a")
        await place.live("a", "b")
        assert await place.put("a", ADA) == set()
        assert await place.outlive(GRACE_SECONDS + 2, "a", "b") == set()
        assert await place.version() == version
        assert await place.names() == ("ada",)

    async def test_the_old_name_of_a_node_can_be_ended(self, place):
        """Members without a connection leave after the grace instead of the old lease; the others stay."""
        await place.live("a")
        await place.put("a", ADA, BOB)
        old = place.witness("a").name
        await place.live("a")
        await place.put("a", ADA)
        await place.presence.end([old, "unknown"])
        assert await place.outlive(GRACE_SECONDS - 0.5, "a") == set()
        assert await place.outlive(1.5, "a") == {"doc.plan", "docs"}
        assert await place.names() == ("ada",)

    async def test_a_touch_counts_the_node_s_entries(self, place):
        """The number lets a node notice that some of its entries are missing."""
        await place.live("a", "b")
        await place.put("a", ADA, BOB)
        await place.put("b", ADA)
        await place.put("a", BOB, count=0)
        assert await place.presence.touch(place.witness("a")) == (True, 1)

    async def test_a_version_that_was_lost_is_not_in_the_history(self, place):
        """The reader cannot know the changes since that version, so it must read the whole value."""
        await place.live("a")
        await place.put("a", ADA)
        lost = await place.version("docs")
        await place.flush()
        await place.live("a")
        await place.put("a", ELSEWHERE)
        assert await place.presence.changed("docs", lost) is None
        assert await place.presence.changed("docs", 0) == ["doc.other"]

    async def test_a_lapsed_node_s_old_counts_are_forgotten(self, place):
        """Connections that the node no longer has when it registers again do not keep members."""
        await place.live("a")
        await place.put("a", ADA, BOB)
        await place.pass_time(DEAD_SECONDS + 1)
        await place.presence.sweep()
        await place.live("a")
        await place.put("a", ADA)
        await place.outlive(GRACE_SECONDS + 1, "a")
        assert await place.names() == ("ada",)

    async def test_many_ended_leases_are_swept_in_the_end(self, place):
        """After all nodes of a cluster have stopped, everything is removed, whatever their number."""
        nodes = [f"n{number}" for number in range(25)]
        await place.live(*nodes)
        for number, node in enumerate(nodes):
            await place.put(node, PresenceKey("doc.plan", "read", f"user{number}"))
        await place.pass_time(DEAD_SECONDS + 1)
        await place.live("new")
        await place.outlive(GRACE_SECONDS + 5, "new")
        assert await place.names() == ()

    async def test_a_sweep_takes_any_number_of_members(self, place):
        """A single sweep removes all members, even more than one step handles."""
        many = [PresenceKey("doc.plan", "read", f"user{number}") for number in range(1200)]
        await place.live("a")
        await place.put("a", *many)
        assert len(await place.names()) == 1200
        await place.put("a", *many, count=0)
        await place.pass_time(GRACE_SECONDS + 1)
        assert await place.presence.sweep() == {"doc.plan", "docs"}
        assert await place.names() == ()

    async def test_an_emptied_store_is_refilled_by_the_living(self, place):
        """Nodes notice that they are unknown, register, and write their entries again."""
        await place.live("a", "b")
        await place.put("a", ADA)
        await place.put("b", ADA, BOB)
        before = await place.version()
        await place.pass_time(0.5)
        await place.flush()
        assert await place.names() == ()
        for node, keys in (("a", [ADA]), ("b", [ADA, BOB])):
            assert not await place.touch(node)
            assert await place.presence.put(place.witness(node), [(key, 1) for key in keys]) == (False, set())
            await place.live(node)
            await place.put(node, *keys)
        assert sorted(await place.names()) == ["ada", "bob"]
        assert await place.version() != before
        await place.put("a", ADA, count=0)
        assert await place.outlive(GRACE_SECONDS + 2, "a", "b") == set()
        assert sorted(await place.names()) == ["ada", "bob"]
