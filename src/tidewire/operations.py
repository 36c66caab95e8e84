"""The topic `operations`: what each node reports of itself, for staff to look at.

A project gives it to a route of its own that lets only staff in; nothing in it comes from a client.
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
    """How the nodes are."""

    async def read(self, presence: Presence, version: int) -> OperationsStatus:
        return OperationsStatus(topic=self.name, version=version, nodes=await report_store().read())


OPERATIONS = OperationsTopic(TOPIC_NAME)
