"""Edit leases in the memory of one process."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tidewire.contrib.edit_lease import EditLease, EditLeases, Editor, Move, Moved, Step


@dataclass(frozen=True)
class _Lease:
    """A lease as Redis stores it: '' is no member, times are seconds."""

    holder: str = ""
    ends: float = 0.0
    asker: str = ""
    answer_by: float = 0.0
    asks_until: float = 0.0


class MemoryEditLeases(EditLeases):
    """The interface `EditLeases` without I/O.

    Args:
        lease_seconds: An editor without a socket keeps the lease for this long: the setting EDIT_LEASE_SECONDS.
        answer_seconds: A holder can answer within this time: the setting EDIT_ANSWER_SECONDS.
        grace_seconds: An editor who closed the page keeps the lease for this long: the setting GRACE_SECONDS.
        changed: Called with each topic whose value has changed, such as `MemoryPresence.bump`.
        clock: Returns the time in seconds.

    Example:
        >>> import asyncio
        >>> from tidewire.contrib.edit_lease import Editor, Move
        >>> leases = MemoryEditLeases(lease_seconds=20, answer_seconds=30, grace_seconds=3, changed=print)
        >>> [moved] = asyncio.run(leases.move([Move("take", Editor("lease.7", "ada"))]))
        lease.7
        >>> moved.is_holder
        True

    """

    def __init__(
        self,
        *,
        lease_seconds: float,
        answer_seconds: float,
        grace_seconds: float,
        changed: Callable[[str], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._lease_seconds = lease_seconds
        self._answer_seconds = answer_seconds
        self._grace_seconds = grace_seconds
        self._changed = changed
        self._clock = clock
        self._leases: dict[str, _Lease] = {}

    async def move(self, moves: Sequence[Move]) -> list[Moved]:
        return [self._move(*move) for move in moves]

    async def read(self, topics: Sequence[str]) -> list[EditLease]:
        leases = [self._leases.get(topic, _Lease()) for topic in topics]
        return [EditLease(lease.holder or None, lease.asker or None) for lease in leases]

    def _move(self, step: Step, editor: Editor, answered: str) -> Moved:
        before = self._leases.get(editor.topic)
        after = self._apply(step, editor.member, answered, before)
        self._leases[editor.topic] = after
        shown = (before.holder, before.asker) if before else ("", "")
        changed = (after.holder, after.asker) != shown
        if changed:
            self._changed(editor.topic)
        return Moved(after.holder == editor.member, changed)

    def _apply(self, step: Step, me: str, answered: str, before: _Lease | None) -> _Lease:
        """The transitions of `lua/edit_lease.lua`."""
        now = self._clock()
        lease = before or _Lease()
        if lease.asker and lease.asks_until <= now:
            # An asker that stops renewing the request has left.
            lease = replace(lease, asker="")
        if step in ("hand_over", "keep"):
            return self._answer_request(step, lease, me, answered)
        if step == "leave":
            return self._leave(lease, me)
        if step == "touch" and before is None:
            # The lease was lost. Its holder can return within the grace, and has priority over waiting editors.
            return replace(lease, ends=now + self._grace_seconds)
        return self._take_or_ask(step, lease, me, now)

    def _take_or_ask(self, step: Step, lease: _Lease, me: str, now: float) -> _Lease:
        if lease.holder == me:
            return lease if step == "ask" else replace(lease, ends=now + self._lease_seconds)
        if not lease.asker and (lease.ends <= now or (not lease.holder and step != "touch")):
            return self._new_lease(me)
        if lease.asker == me:
            if min(lease.ends, lease.answer_by) <= now:
                return self._new_lease(me)
            return replace(lease, asks_until=lease.answer_by + self._lease_seconds)
        if step == "ask" and not lease.asker:
            answer_by = now + self._answer_seconds
            return replace(lease, asker=me, answer_by=answer_by, asks_until=answer_by + self._lease_seconds)
        return lease

    def _answer_request(self, step: Step, lease: _Lease, me: str, asker: str) -> _Lease:
        if lease.holder != me or not lease.asker or lease.asker != asker:
            return lease
        if step == "keep":
            return replace(lease, asker="")
        # An asker that has left in the meantime must not hold the lease for longer than the request was valid.
        lease_of_asker = self._new_lease(asker)
        return replace(lease_of_asker, ends=min(lease_of_asker.ends, lease.asks_until))

    def _leave(self, lease: _Lease, me: str) -> _Lease:
        until = self._clock() + self._grace_seconds
        if lease.holder == me:
            return replace(lease, ends=min(lease.ends, until))
        if lease.asker == me:
            # The same member may have another tab open on another node, which renews the request at its next touch.
            return replace(lease, asks_until=min(lease.asks_until, until))
        return lease

    def _new_lease(self, member: str) -> _Lease:
        return _Lease(member, self._clock() + self._lease_seconds)
