"""What edit leases promise, as tests that run over every implementation of them."""

from abc import ABC, abstractmethod

from tidewire.edit_lease import EditLease, EditLeases, Editor, Move, Moved, Step

LEASE_SECONDS = 20.0
ANSWER_SECONDS = 30.0
GRACE_SECONDS = 3.0
TOPIC = "lease.plan"


class LeasePlace(ABC):
    """A store of edit leases, and its time."""

    leases: EditLeases

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass on the store's clock."""

    @abstractmethod
    async def flush(self) -> None:
        """Lose everything, as FLUSHALL does."""

    @abstractmethod
    async def version(self, topic: str = TOPIC) -> int:
        """The topic's version, as hubs compare it."""

    async def move(self, step: Step, member: str, asker: str = "", *, topic: str = TOPIC) -> Moved:
        [moved] = await self.leases.move([Move(step, Editor(topic, member), asker)])
        return moved

    async def look(self, topic: str = TOPIC) -> EditLease:
        [lease] = await self.leases.look([topic])
        return lease

    async def stay(self, seconds: float, *members: str) -> None:
        """Let time pass while these editors are there: each is touched every second."""
        while seconds > 0:
            await self.pass_time(min(seconds, 1.0))
            seconds -= 1.0
            for member in members:
                await self.move("touch", member)


class LeaseSuite:
    """Subclasses give the fixture `place`."""

    async def test_nobody_holds_anything_at_first(self, place):
        """An empty store knows no holder, no asker and no version."""
        assert await place.look() == EditLease()
        assert await place.version() == 0
        assert await place.leases.move([]) == []

    async def test_who_comes_first_has_it(self, place):
        """And who comes second has not."""
        assert await place.move("take", "ada") == Moved(holds=True, changed=True)
        assert await place.look() == EditLease("ada")
        version = await place.version()
        assert version > 0
        assert await place.move("take", "bob") == Moved(holds=False, changed=False)
        assert await place.look() == EditLease("ada")
        assert await place.version() == version

    async def test_a_second_tab_is_the_same_editor(self, place):
        """A member takes what they have, and nothing shows differently."""
        await place.move("take", "ada")
        assert await place.move("take", "ada") == Moved(holds=True, changed=False)

    async def test_topics_are_kept_apart(self, place):
        """A lease is for one document."""
        await place.move("take", "ada")
        assert (await place.move("take", "bob", topic="lease.notes")).holds
        assert await place.leases.look([TOPIC, "lease.notes"]) == [EditLease("ada"), EditLease("bob")]

    async def test_many_moves_are_made_in_order(self, place):
        """In one call, each answered for itself."""
        ada, bob = Editor(TOPIC, "ada"), Editor(TOPIC, "bob")
        moved = await place.leases.move([Move("take", ada), Move("take", bob), Move("ask", bob)])
        assert [each.holds for each in moved] == [True, False, False]
        assert [each.changed for each in moved] == [True, False, True]

    async def test_who_is_there_keeps_it(self, place):
        """An idle tab is touched by its node, however long nobody types."""
        await place.move("take", "ada")
        await place.stay(3 * LEASE_SECONDS, "ada", "bob")
        assert await place.look() == EditLease("ada")

    async def test_a_holder_who_is_gone_loses_it_to_who_waits(self, place):
        """A closed lid: after the lease and not before."""
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.look() == EditLease("ada")
        await place.stay(2.5, "bob")
        assert await place.look() == EditLease("bob")
        assert not (await place.move("touch", "ada")).holds

    async def test_a_holder_who_returns_in_time_keeps_it(self, place):
        """A short loss of network, a drain to another node: nothing shows differently."""
        await place.move("take", "ada")
        version = await place.version()
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.move("take", "ada") == Moved(holds=True, changed=False)
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.look() == EditLease("ada")
        assert await place.version() == version

    async def test_a_holder_who_returns_late_has_it_while_nobody_took_it(self, place):
        """There was nobody to lose it to."""
        await place.move("take", "ada")
        await place.pass_time(LEASE_SECONDS + 5)
        assert await place.move("take", "ada") == Moved(holds=True, changed=False)

    async def test_who_closes_the_page_leaves_it_after_the_grace(self, place):
        """Whoever waits need not wait for the whole lease."""
        await place.move("take", "ada")
        assert await place.move("leave", "ada") == Moved(holds=True, changed=False)
        await place.stay(GRACE_SECONDS - 0.5, "bob")
        assert await place.look() == EditLease("ada")
        await place.stay(1.5, "bob")
        assert await place.look() == EditLease("bob")

    async def test_a_reload_keeps_it(self, place):
        """Who is back within the grace has lost nothing."""
        await place.move("take", "ada")
        await place.move("leave", "ada")
        await place.stay(GRACE_SECONDS - 0.5, "bob")
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1.5, "bob")
        assert await place.look() == EditLease("ada")

    async def test_leaving_never_lengthens_it(self, place):
        """Who leaves shortly before the end of the lease has it until that end."""
        await place.move("take", "ada")
        await place.stay(LEASE_SECONDS - 1, "bob")
        await place.move("leave", "ada")
        await place.stay(1.5, "bob")
        assert await place.look() == EditLease("bob")

    async def test_an_asker_shows(self, place):
        """To the holder, who may answer, and to everybody else."""
        await place.move("take", "ada")
        version = await place.version()
        assert await place.move("ask", "bob") == Moved(holds=False, changed=True)
        assert await place.look() == EditLease("ada", "bob")
        assert await place.version() > version

    async def test_one_asks_at_a_time(self, place):
        """The first one is answered first; asking twice is asking once."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("ask", "bob") == Moved(holds=False, changed=False)
        assert await place.move("ask", "eve") == Moved(holds=False, changed=False)
        assert await place.look() == EditLease("ada", "bob")

    async def test_asking_for_what_nobody_has_takes_it(self, place):
        """Also where the last holder's time is over."""
        assert (await place.move("ask", "ada")).holds
        await place.pass_time(LEASE_SECONDS + 1)
        assert (await place.move("ask", "bob")).holds

    async def test_the_holder_asks_for_nothing(self, place):
        """And does not become their own asker."""
        await place.move("take", "ada")
        assert await place.move("ask", "ada") == Moved(holds=True, changed=False)

    async def test_handing_over_gives_it_to_the_asker(self, place):
        """At once, with a lease of their own."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("hand_over", "ada", "bob") == Moved(holds=False, changed=True)
        assert await place.look() == EditLease("bob")
        await place.stay(LEASE_SECONDS - 1.5, "ada")
        assert await place.look() == EditLease("bob")

    async def test_only_the_holder_answers_and_only_who_asked_is_answered(self, place):
        """A click on an old page does nothing: neither another's, nor one meant for another asker."""
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
        assert await place.look() == EditLease("ada", "bob")

    async def test_a_holder_may_keep_it(self, place):
        """The asker is no asker any more, and may ask again."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("keep", "ada", "bob") == Moved(holds=True, changed=True)
        await place.stay(2 * ANSWER_SECONDS, "ada", "bob")
        assert await place.look() == EditLease("ada")
        assert (await place.move("ask", "bob")).changed

    async def test_who_does_not_answer_loses_it_to_the_asker(self, place):
        """After the time to answer and not before, though they are there all the while."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS - 1, "ada", "bob", "eve")
        assert await place.look() == EditLease("ada", "bob")
        await place.stay(2, "ada", "bob", "eve")
        assert await place.look() == EditLease("bob")

    async def test_an_asker_comes_before_others_who_wait(self, place):
        """When the holder goes away, whoever is touched first."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "ada")
        await place.stay(GRACE_SECONDS + 1, "eve", "bob")
        assert await place.look() == EditLease("bob")

    async def test_an_asker_who_leaves_asks_no_more(self, place):
        """The holder is not asked for nobody, but for the grace of a reload."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        assert await place.move("leave", "bob") == Moved(holds=False, changed=False)
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.look() == EditLease("ada", "bob")
        await place.pass_time(1.0)
        assert await place.move("touch", "ada") == Moved(holds=True, changed=True)
        assert await place.look() == EditLease("ada")
        assert (await place.move("ask", "eve")).changed

    async def test_an_asker_who_closes_one_of_two_tabs_still_asks(self, place):
        """The other tab may be on another node, which knows nothing of this one's end."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.stay(ANSWER_SECONDS - 1, "ada", "bob", "eve")
        assert await place.look() == EditLease("ada", "bob")
        await place.stay(2, "ada", "bob", "eve")
        assert await place.look() == EditLease("bob")

    async def test_an_asker_who_reloads_still_asks(self, place):
        """Until when they are answered at the latest is as before."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS - GRACE_SECONDS, "ada", "bob")
        await place.move("leave", "bob")
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.move("take", "bob") == Moved(holds=False, changed=False)
        await place.stay(2, "ada", "bob")
        assert await place.look() == EditLease("bob")

    async def test_an_asker_who_leaves_again_is_not_asked_for_any_longer(self, place):
        """Each node where they were says that they left; the first one counts."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.stay(GRACE_SECONDS - 1, "ada")
        await place.move("leave", "bob")
        await place.stay(1.5, "ada")
        assert await place.look() == EditLease("ada")

    async def test_what_is_handed_over_to_who_has_left_is_not_theirs_for_long(self, place):
        """The holder could not know yet; whoever waits gets it after the grace, as when a holder leaves."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.move("leave", "bob")
        await place.move("hand_over", "ada", "bob")
        await place.stay(GRACE_SECONDS - 0.5, "ada")
        assert await place.look() == EditLease("bob")
        await place.stay(1.5, "ada")
        assert await place.look() == EditLease("ada")

    async def test_an_asker_who_vanished_does_not_block_it(self, place):
        """Their time to come for it is bounded; then others may ask, and the holder has it as before."""
        await place.move("take", "ada")
        await place.move("ask", "bob")
        await place.stay(ANSWER_SECONDS + LEASE_SECONDS + 1, "ada", "eve")
        assert await place.look() == EditLease("ada")
        assert (await place.move("ask", "eve")).changed
        assert await place.look() == EditLease("ada", "eve")

    async def test_leaving_what_one_does_not_have_changes_nothing(self, place):
        """Nor does leaving what nobody has."""
        assert await place.move("leave", "bob") == Moved(holds=False, changed=False)
        await place.move("take", "ada")
        assert await place.move("leave", "bob") == Moved(holds=False, changed=False)

    async def test_after_a_loss_the_holder_comes_first(self, place):
        """The store lost everything: who waits lets the one who had it come back."""
        await place.move("take", "ada")
        await place.flush()
        assert not (await place.move("touch", "bob")).holds
        await place.stay(GRACE_SECONDS - 1, "bob")
        assert (await place.move("take", "ada")).holds
        await place.stay(GRACE_SECONDS + 1, "bob", "ada")
        assert await place.look() == EditLease("ada")

    async def test_after_a_loss_who_waits_has_it_soon(self, place):
        """Where the one who had it does not come back."""
        await place.move("take", "ada")
        await place.flush()
        await place.stay(GRACE_SECONDS + 2, "bob")
        assert await place.look() == EditLease("bob")

    async def test_a_name_may_hold_any_character(self, place):
        """Names are the users' business."""
        odd = "a|b:c|ü 😀"
        await place.move("take", "ada")
        await place.move("ask", odd)
        await place.move("hand_over", "ada", odd)
        assert await place.look() == EditLease(odd)
