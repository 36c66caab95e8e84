"""The topic `operations`: the state that each node reports, for staff.

A project should serve it on a route of its own that admits only staff; none of it comes from a client.
"""

from dataclasses import dataclass
from typing import Literal

from tidewire.events import StateEvent
from tidewire.presence import Presence
from tidewire.reports import TOPIC_NAME, NodeReport
from tidewire.stores import report_store
from tidewire.topics import StateTopic


class OperationsStatus(StateEvent):
    """The state of all nodes, by name."""

    type: Literal["operations.status"] = "operations.status"
    nodes: tuple[NodeReport, ...]


@dataclass(frozen=True)
class OperationsTopic(StateTopic):
    """The state topic of all nodes."""

    async def read(self, presence: Presence, version: int) -> OperationsStatus:
        return OperationsStatus(topic=self.name, version=version, nodes=await report_store().read())


OPERATIONS = OperationsTopic(TOPIC_NAME)
