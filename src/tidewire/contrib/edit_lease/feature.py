"""The edit leases of a node: a feature of each process that imports this module."""

from tidewire.contrib.edit_lease import EditLeases
from tidewire.contrib.edit_lease.node import NodeEditLeases
from tidewire.contrib.edit_lease.redis import edit_lease_store
from tidewire.server.current_node import register
from tidewire.server.node import Feature, Node


@register
class EditLeaseFeature(Feature):
    """The store of the leases, and the node's editors."""

    def __init__(self, node: Node, *, store: EditLeases | None = None) -> None:
        super().__init__(node)
        self.store: EditLeases = edit_lease_store() if store is None else store
        self.editors = NodeEditLeases(self.store, touch_seconds=node.settings.TOUCH_SECONDS, announce=node.announce)
        node.start_task("edit leases", self.editors.run)
