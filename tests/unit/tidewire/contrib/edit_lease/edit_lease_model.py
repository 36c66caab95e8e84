"""A random script of three editors with one edit lease, checked against the guarantees that each editor has."""

from dataclasses import dataclass

from hypothesis import note
from hypothesis import strategies as st

from tests.unit.tidewire.contrib.edit_lease.edit_lease_suite import (
    ANSWER_SECONDS,
    GRACE_SECONDS,
    LEASE_SECONDS,
    LeasePlace,
)
from tidewire.contrib.edit_lease import EditLease, Moved, Step

MEMBERS = ("ada", "bob", "eve")
TICK_SECONDS = 1.0
# The longest real time that a step may take.
MARGIN_SECONDS = 0.5
HAPPENINGS = (
    *("come", "come", "vanish", "leave", "ask", "ask", "hand_over", "keep"),
    *("tick", "tick", "tick", "pause", "pause", "flush"),
)
# Two bytes per step, which are cheap to draw and to shrink.
scripts = st.binary(min_size=40, max_size=160)


@dataclass
class Claim:
    """The member that last received the lease, and the time until which it may rely on it."""

    member: str
    until: float


class LeaseModel:
    """Editors come, vanish, leave, ask and answer; a node touches those with open sockets.

    The model does not use the store's state. A member that received the lease may type until the lease ends, until the
    member hands it over, or until the member has left an asker without an answer for too long.
    """

    def __init__(self, place: LeasePlace) -> None:
        self.place = place
        self.now = 0.0
        self.here: set[str] = set()
        # The editors that have the lease according to the node, or have just come: the state that its register has.
        self.first: set[str] = set()
        self.claim: Claim | None = None
        self.asked_at = 0.0
        self.seen = EditLease()
        self.version = 0

    async def play(self, script: bytes) -> None:
        for name, n in zip(script[::2], script[1::2], strict=False):
            happening, member = HAPPENINGS[name % len(HAPPENINGS)], MEMBERS[n % len(MEMBERS)]
            note(f"{self.now}: {happening} {member}")
            await getattr(self, happening)(member)
        await self.come_to_rest()

    async def come(self, member: str) -> None:
        self.here.add(member)
        self.first.add(member)
        await self.move("take", member)

    async def vanish(self, member: str) -> None:
        """Remove an editor without a message, as when a laptop is closed."""
        self.here.discard(member)
        self.first.discard(member)

    async def leave(self, member: str) -> None:
        if member in self.here:
            await self.vanish(member)
            await self.move("leave", member)
            if self.claim and self.claim.member == member:
                self.claim.until = min(self.claim.until, self.now + GRACE_SECONDS)

    async def ask(self, member: str) -> None:
        if member in self.here:
            await self.move("ask", member)

    async def hand_over(self, member: str) -> None:
        asker = self.seen.asker or "nobody"
        if self.seen.holder == member and self.seen.asker:
            self.claim = None
        await self.move("hand_over", member, asker)

    async def keep(self, member: str) -> None:
        await self.move("keep", member, self.seen.asker or "nobody")

    async def tick(self, _member: str = "") -> None:
        await self.pause()
        for member in sorted(self.here):
            await self.move("take" if member in self.first else "touch", member)

    async def pause(self, _member: str = "", seconds: float = TICK_SECONDS) -> None:
        """Let time pass without a step of any node."""
        await self.place.pass_time(seconds)
        self.now += seconds

    async def flush(self, _member: str) -> None:
        """Redis loses all leases, so no claim is valid. Until the editors return, only the fence protects the text."""
        await self.place.flush()
        self.claim, self.seen, self.version = None, EditLease(), 0

    async def move(self, step: Step, member: str, asker: str = "") -> None:
        moved = await self.place.move(step, member, asker)
        lease = await self.place.read()
        await self.check_version(lease, moved)
        if step in ("take", "touch"):
            if moved.is_holder:
                self.first.add(member)
            else:
                self.first.discard(member)
        if moved.is_holder and step in ("take", "touch", "ask"):
            assert lease.holder == member
            self.check_claim(member)
            # A holder that asks for its own lease receives it, but this does not renew it.
            if step != "ask" or self.seen.holder != member:
                self.claim = Claim(member, self.now + LEASE_SECONDS)
        if lease.asker != self.seen.asker:
            self.asked_at = self.now
        self.seen = lease

    def check_claim(self, taker: str) -> None:
        """Check that no other member receives the lease while the holder may rely on it."""
        claim = self.claim
        if claim is None or claim.member == taker or self.now >= claim.until - MARGIN_SECONDS:
            return
        assert taker == self.seen.asker, f"{taker} took it from {claim.member} without asking"
        assert self.now - self.asked_at >= ANSWER_SECONDS - MARGIN_SECONDS, f"{claim.member} had time to answer"

    async def check_version(self, lease: EditLease, moved: Moved) -> None:
        """Check that the version changes exactly if a visible value changes, and that the move returns this."""
        version = await self.place.version()
        assert moved.changed == (lease != self.seen)
        assert (version > self.version) == moved.changed
        assert version >= self.version
        assert lease.asker is None or lease.holder not in (None, lease.asker)
        self.version = version

    async def come_to_rest(self) -> None:
        """In the end a vanished holder must lose the lease to a waiting editor, and every request must be answered."""
        for _ in range(int(LEASE_SECONDS + ANSWER_SECONDS + GRACE_SECONDS) + 3):
            await self.tick()
        if not self.here:
            return
        holder = self.seen.holder
        assert holder in self.here
        for _ in range(5):
            await self.tick()
        assert self.seen == EditLease(holder)
