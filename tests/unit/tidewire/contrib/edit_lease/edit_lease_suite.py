"""The guarantees of edit leases, as tests that run with every implementation."""

from abc import ABC, abstractmethod

from tidewire.contrib.edit_lease import EditLease, EditLeases, Editor, Move, Moved, Step

LEASE_SECONDS = 20.0
ANSWER_SECONDS = 30.0
GRACE_SECONDS = 3.0
TOPIC = "lease.plan"


class LeasePlace(ABC):
    """A store of edit leases, with a clock that a test can advance."""

    leases: EditLeases

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Advance the store's clock by this many seconds."""

    @abstractmethod
    async def flush(self) -> None:
        """Delete everything, as FLUSHALL does."""

    @abstractmethod
    async def version(self, topic: str = TOPIC) -> int:
        """Return the topic's version, which hubs compare."""

    async def move(self, step: Step, member: str, asker: str = "", *, topic: str = TOPIC) -> Moved:
        [moved] = await self.leases.move([Move(step, Editor(topic, member), asker)])
        return moved

    async def read(self, topic: str = TOPIC) -> EditLease:
        [lease] = await self.leases.read([topic])
        return lease

    async def stay(self, seconds: float, *members: str) -> None:
        """Let time pass while these editors have open sockets: their node touches them every second."""
        while seconds > 0:
            await self.pass_time(min(seconds, 1.0))
            seconds -= 1.0
            for member in members:
                await self.move("touch", member)


class LeaseSuite:
    """Subclasses must provide the fixture `place`."""

    async def test_nobody_holds_anything_at_first(self, place):
        """An empty store has no holder, asker or version."""
        assert await place.read() == EditLease()
        assert await place.version() == 0
        assert await place.leases.move([]) == []

    async def test_who_comes_first_has_it(self, place):
        """The first editor gets the lease, and the second does not."""
        assert await place.move("take", "ada") == Moved(is_holder=True, changed=True)
        assert await place.read() == EditLease("ada")
        version = await place.version()
        assert version > 0
        assert await place.move("take", "bob") == Moved(is_holder=False, changed=False)
        assert await place.read() == EditLease("ada")
        assert await place.version() == version

    async def test_a_second_tab_is_the_same_editor(self, place):
        """A member that takes its own lease again causes no visible change."""
        await place.move("take", "ada")
        assert await place.move("take", "ada") == Moved(is_holder=True, changed=False)

    async def test_topics_are_kept_apart(self, place):
        """Each lease belongs to one document."""
        await place.move("take", "ada")
        assert (await place.move("take", "bob", topic="lease.notes")).is_holder
        assert await place.leases.read([TOPIC, "lease.notes"]) == [EditLease("ada"), EditLease("bob")]

    async def test_many_moves_are_made_in_order(self, place):
        """A single call applies all moves in order, and returns a result for each."""
        ada, bob = Editor(TOPIC, "ada"), Editor(TOPIC, "bob")
        moved = await place.leases.move([Move("take", ada), Move("take", bob), Move("ask", bob)])
        assert [each.is_holder for each in moved] == [True, False, False]
        assert [each.changed for each in moved] == [True, False, True]

    async def test_who_is_there_keeps_it(self, place):
        """The node touches idle tabs, so their leases last even if the user does not type."""
        await place.move("take", "ada")
        await place.stay(3 * LEASE_SECONDS, "ada", "bob")
        assert await place.read() == EditLease("ada")

    async def test_a_holder_who_is_gone_loses_it_to_who_waits(self, place):
        """A closed laptop: the waiting editor gets the lease when it expires, and not before."""
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.read() == EditLease("ada")
        await place.stay(2.5, "bob")
        assert await place.read() == EditLease("bob")
        assert not (await place.move("touch", "ada")).is_holder

    async def test_a_holder_who_returns_in_time_keeps_it(self, place):
        """After a short loss of the network, or a drain to another node, nothing visible changes."""
        await place.move("take", "ada")
        version = await place.version()
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.move("take", "ada") == Moved(is_holder=True, changed=False)
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.read() == EditLease("ada")
        assert await place.version() == version

    async def test_a_holder_who_returns_late_has_it_while_nobody_took_it(self, place):
        """No other editor was waiting."""
        await place.move("take", "ada")
        await place.pass_time(LEASE_SECONDS + 5)
        assert await place.move("take", "ada") == Moved(is_holder=True, changed=False)

    async def test_who_closes_the_page_leaves_it_after_the_grace(self, place):
        """A waiting editor need not wait for the whole lease."""
        await place.move("take", "ada")
        assert await place.move("leave", "ada") == Moved(is_holder=True, changed=False)
        await place.stay(GRACE_SECONDS - 0.5, "bob")
        assert await place.read() == EditLease("ada")
        await place.stay(1.5, "bob")
        assert await place.read() == EditLease("bob")

    async def test_a_reload_keeps_it(self, place):
        """An editor that returns within the grace keeps the lease."""
        await place.move("take", "ada")
        await place.move("leave", "ada")
        await place.stay(GRACE_SECONDS - 0.5, "bob")
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.read() == EditLease("ada")

    async def test_leaving_never_lengthens_it(self, place):
        """An editor that leaves shortly before the end of the lease loses it at that end."""
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1, "bob")
        await place.move("leave", "ada")
        await place.stay(1.5, "bob")
        assert await place.read() == EditLease("bob")

    async def test_an_asker_shows(self, place):
        """The request is visible to all editors, and the holder may answer it."""
        await place.move("take", "ada")
        version = await place.version()
        assert await place.move("ask", "bob") == Moved(is_holder=False, changed=True)
        assert await place.read() == EditLease("ada", "bob")
        assert await place.version() > version

    async def test_one_asks_at_a_time(self, place):
        """The first request is answered first, and a repeated request changes nothing."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("ask", "bob") == Moved(is_holder=False, changed=False)
        assert await place.move("ask", "eve") == Moved(is_holder=False, changed=False)
        assert await place.read() == EditLease("ada", "bob")

    async def test_asking_for_what_nobody_has_takes_it(self, place):
        """Also if the lease of the last holder has expired."""
        assert (await place.move("ask", "ada")).is_holder
        await place.pass_time(LEASE_SECONDS + 1)
        assert (await place.move("ask", "bob")).is_holder

    async def test_the_holder_asks_for_nothing(self, place):
        """The holder does not become the asker of its own lease."""
        await place.move("take", "ada")
        assert await place.move("ask", "ada") == Moved(is_holder=True, changed=False)

    async def test_handing_over_gives_it_to_the_asker(self, place):
        """The asker gets a new lease at once."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("hand_over", "ada", "bob") == Moved(is_holder=False, changed=True)
        assert await place.read() == EditLease("bob")
        await place.stay(LEASE_SECONDS - 1.5, "ada")
        assert await place.read() == EditLease("bob")

    async def test_only_the_holder_answers_and_only_who_asked_is_answered(self, place):
        """A click on an old page does nothing, whether it is another editor's or was meant for another asker."""
        await place.move("take", "ada")
        for step in ("hand_over", "keep"):
            assert not (await place.move(step, "ada", "")).changed
            assert not (await place.move(step, "ada", "bob")).changed
        await place.move("ask", "bob")
        for step in ("hand_over", "keep"):
            assert not (await place.move(step, "bob", "bob")).changed
            assert not (await place.move(step, "eve", "bob")).changed
            assert not (await place.move(step, "ada", "eve")).changed
            assert not (await place.move(step, "ada", "")).changed
        assert await place.read() == EditLease("ada", "bob")

    async def test_a_holder_may_keep_it(self, place):
        """The request ends, and the asker may ask again."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("keep", "ada", "bob") == Moved(is_holder=True, changed=True)
        await place.stay(2 * ANSWER_SECONDS, "ada", "bob")
        assert await place.read() == EditLease("ada")
        assert (await place.move("ask", "bob")).changed

    async def test_who_does_not_answer_loses_it_to_the_asker(self, place):
        """The lease changes when the time to answer is over, and not before, although the holder is connected."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS - 1, "ada", "bob", "eve")
        assert await place.read() == EditLease("ada", "bob")
        await place.stay(2, "ada", "bob", "eve")
        assert await place.read() == EditLease("bob")

    async def test_an_asker_comes_before_others_who_wait(self, place):
        """When the holder leaves, the asker gets the lease, even if another editor is touched first."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "ada")
        await place.stay(GRACE_SECONDS + 1, "eve", "bob")
        assert await place.read() == EditLease("bob")

    async def test_an_asker_who_leaves_asks_no_more(self, place):
        """After the grace of a reload, the holder no longer sees the request of an asker that has left."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("leave", "bob") == Moved(is_holder=False, changed=False)
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.read() == EditLease("ada", "bob")
        await place.pass_time(1.0)
        assert await place.move("touch", "ada") == Moved(is_holder=True, changed=True)
        assert await place.read() == EditLease("ada")
        assert (await place.move("ask", "eve")).changed

    async def test_an_asker_who_closes_one_of_two_tabs_still_asks(self, place):
        """The other tab may be on another node, which does not know that this one has closed."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.stay(ANSWER_SECONDS - 1, "ada", "bob", "eve")
        assert await place.read() == EditLease("ada", "bob")
        await place.stay(2, "ada", "bob", "eve")
        assert await place.read() == EditLease("bob")

    async def test_an_asker_who_reloads_still_asks(self, place):
        """The time limit for an answer remains the same."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS - GRACE_SECONDS, "ada", "bob")
        await place.move("leave", "bob")
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.move("take", "bob") == Moved(is_holder=False, changed=False)
        await place.stay(2, "ada", "bob")
        assert await place.read() == EditLease("bob")

    async def test_an_asker_who_leaves_again_is_not_asked_for_any_longer(self, place):
        """Each node of the asker reports that it left; only the first report counts."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.stay(GRACE_SECONDS - 1, "ada")
        await place.move("leave", "bob")
        await place.stay(1.5, "ada")
        assert await place.read() == EditLease("ada")

    async def test_what_is_handed_over_to_who_has_left_is_not_theirs_for_long(self, place):
        """The holder could not know. After the grace the waiting editor gets the lease, as when a holder leaves."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.move("hand_over", "ada", "bob")
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.read() == EditLease("bob")
        await place.stay(1.5, "ada")
        assert await place.read() == EditLease("ada")

    async def test_an_asker_who_vanished_does_not_block_it(self, place):
        """The asker's time to take the lease is limited. After that the holder has it again, and others may ask."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS + LEASE_SECONDS + 1, "ada", "eve")
        assert await place.read() == EditLease("ada")
        assert (await place.move("ask", "eve")).changed
        assert await place.read() == EditLease("ada", "eve")

    async def test_leaving_what_one_does_not_have_changes_nothing(self, place):
        """Leaving a lease without a holder changes nothing either."""
        assert await place.move("leave", "bob") == Moved(is_holder=False, changed=False)
        await place.move("take", "ada")
        assert await place.move("leave", "bob") == Moved(is_holder=False, changed=False)

    async def test_after_a_loss_the_holder_comes_first(self, place):
        """After the store has lost everything, a waiting editor gives the holder time to return."""
        await place.move("take", "ada")
        await place.flush()
        assert not (await place.move("touch", "bob")).is_holder
        await place.stay(GRACE_SECONDS - 1, "bob")
        assert (await place.move("take", "ada")).is_holder
        await place.stay(GRACE_SECONDS + 1, "bob", "ada")
        assert await place.read() == EditLease("ada")

    async def test_after_a_loss_who_waits_has_it_soon(self, place):
        """If the holder does not return, the waiting editor gets the lease."""
        await place.move("take", "ada")
        await place.flush()
        await place.stay(GRACE_SECONDS + 2, "bob")
        assert await place.read() == EditLease("bob")

    async def test_a_name_may_hold_any_character(self, place):
        """Users may choose any name."""
        odd = "a|b:c|ü 😀"
        await place.move("take", "ada")
        await place.move("ask", odd)
        await place.move("hand_over", "ada", odd)
        assert await place.read() == EditLease(odd)
