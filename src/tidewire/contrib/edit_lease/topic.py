"""The lease as its editors see it: a state topic per lease, and the messages that an editor may send.

The lease is advisory. The version of the text is the fence: see Martin Kleppmann, "How to do distributed locking"
(2016).
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from tidewire.contrib.edit_lease import EditLeases
from tidewire.events import Event, StateEvent
from tidewire.presence import Presence
from tidewire.topics import StateTopic

# Longer than any user name that Django allows.
Name = Annotated[str, Field(min_length=1, max_length=254)]


class LeaseStatus(StateEvent):
    """The holder of the lease and the author of a request for it. A holder that is no longer named has lost the lease.

    Args:
        holder: Name of the user with the lease; absent if the lease is free.
        asker: Name of the user with an open request; absent if there is none.
        lease_seconds: A page that has received nothing for this long may have lost the lease.
        answer_seconds: A holder that receives a request must answer within this time.

    """

    type: Literal["lease.status"] = "lease.status"
    holder: str | None = None
    asker: str | None = None
    lease_seconds: float
    answer_seconds: float


class LeaseAsk(Event):
    """From an editor: a request to take over."""

    type: Literal["lease.ask"] = "lease.ask"


class LeaseHandOver(Event):
    """From the holder: the lease passes to `asker`, and to no other editor.

    Args:
        asker: Name of the user with the request, 1 to 254 characters.

    """

    type: Literal["lease.hand_over"] = "lease.hand_over"
    asker: Name


class LeaseKeep(Event):
    """From the holder: the request of `asker` is refused.

    Args:
        asker: Name of the user with the request, 1 to 254 characters.

    """

    type: Literal["lease.keep"] = "lease.keep"
    asker: Name


@dataclass(frozen=True)
class LeaseTopic(StateTopic):
    """The state topic of one lease.

    Args:
        leases: The store of the leases.
        lease_seconds: An editor without a socket keeps the lease for this long.
        answer_seconds: A holder can answer a request within this time.

    Example:
        >>> import asyncio
        >>> from tidewire.testing import MemoryEditLeases
        >>> leases = MemoryEditLeases(lease_seconds=20, answer_seconds=30, grace_seconds=3, changed=print)
        >>> topic = LeaseTopic("lease.7", leases=leases, lease_seconds=20, answer_seconds=30)
        >>> asyncio.run(topic.read(presence=None, version=1)).holder is None
        True

    """

    leases: EditLeases = field(compare=False)
    lease_seconds: float
    answer_seconds: float

    async def read(self, presence: Presence, version: int) -> LeaseStatus:
        [lease] = await self.leases.read([self.name])
        return LeaseStatus(
            topic=self.name,
            version=version,
            holder=lease.holder,
            asker=lease.asker,
            lease_seconds=self.lease_seconds,
            answer_seconds=self.answer_seconds,
        )
