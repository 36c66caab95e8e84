"""The lease as its editors see it: a state topic per lease, and the messages that an editor may send."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from tidewire.edit_lease import EditLeases
from tidewire.events import Event, StateEvent
from tidewire.presence import Presence
from tidewire.topics import StateTopic

# Longer than any user name that Django allows.
Name = Annotated[str, Field(min_length=1, max_length=254)]


class LeaseStatus(StateEvent):
    """The holder of the lease and the author of a request for it. A holder that is no longer named has lost the lease.

    A holder that receives a request must answer within `answer_seconds`. A page that has received nothing for
    `lease_seconds` may have lost the lease.
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
    """From the holder: the lease passes to `asker`, and to no other editor."""

    type: Literal["lease.hand_over"] = "lease.hand_over"
    asker: Name


class LeaseKeep(Event):
    """From the holder: the request of `asker` is refused."""

    type: Literal["lease.keep"] = "lease.keep"
    asker: Name


@dataclass(frozen=True)
class LeaseTopic(StateTopic):
    """The state topic of one lease."""

    leases: EditLeases = field(compare=False)
    lease_seconds: float
    answer_seconds: float

    async def read(self, presence: Presence, version: int) -> LeaseStatus:
        [lease] = await self.leases.look([self.name])
        return LeaseStatus(
            topic=self.name,
            version=version,
            holder=lease.holder,
            asker=lease.asker,
            lease_seconds=self.lease_seconds,
            answer_seconds=self.answer_seconds,
        )
