"""The topic `operations`: the state that each node reports, for staff.

A project should serve it on a route of its own that admits only staff; none of it comes from a client. The import of
this module lets the nodes of the process report.
"""

from dataclasses import dataclass
from typing import Literal

from tidewire.contrib.operations import reporter  # noqa: F401 - registers the feature that reports
from tidewire.contrib.operations.reports import TOPIC_NAME, NodeReport, report_store
from tidewire.events import StateEvent
from tidewire.presence import Presence
from tidewire.topics import StateTopic


class OperationsStatus(StateEvent):
    """The state of all nodes, by name.

    Args:
        nodes: The last report of each node, in the order of their names.

    """

    type: Literal["operations.status"] = "operations.status"
    nodes: tuple[NodeReport, ...]


@dataclass(frozen=True)
class OperationsTopic(StateTopic):
    """The state topic of all nodes. `OPERATIONS` is the only instance.

    Example:
        >>> from channels.db import database_sync_to_async
        >>> from django.contrib.auth.models import User
        >>> from tidewire.close_codes import CloseCode
        >>> from tidewire.consumers import LiveConsumer
        >>> from tidewire.contrib.operations.topic import OPERATIONS
        >>> class OperationsConsumer(LiveConsumer):
        ...     async def authorize(self):
        ...         staff = User.objects.filter(pk=self.scope["user"].pk, is_staff=True)
        ...         close_code = await super().authorize()
        ...         if close_code is None and not await database_sync_to_async(staff.exists)():
        ...             return CloseCode.FORBIDDEN
        ...         return close_code
        ...     def topics(self):
        ...         return (OPERATIONS,)

    """

    async def read(self, presence: Presence, version: int) -> OperationsStatus:
        return OperationsStatus(topic=self.name, version=version, nodes=await report_store().read())


OPERATIONS = OperationsTopic(TOPIC_NAME)
