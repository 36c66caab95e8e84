"""All sockets of a server, as a drain needs them: the node's, if there is one, and those of other applications."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

from tidewire.conf import Settings
from tidewire.server.current_node import running_node
from tidewire.server.foreign_sockets import ForeignSockets


class _OpenSockets(AbstractSet[Any]):
    """A view of both sets, which change while sockets are closed."""

    def __init__(self, foreign: ForeignSockets) -> None:
        self._foreign = foreign

    @classmethod
    def _from_iterable(cls, sockets: Any) -> Any:
        return set(sockets)

    @property
    def _sets(self) -> tuple[AbstractSet[Any], ...]:
        node = running_node()
        return (self._foreign.sockets,) if node is None else (node.connections, self._foreign.sockets)

    def __contains__(self, socket: object) -> bool:
        return any(socket in sockets for sockets in self._sets)

    def __iter__(self) -> Iterator[Any]:
        for sockets in self._sets:
            yield from sockets

    def __len__(self) -> int:
        return sum(len(sockets) for sockets in self._sets)


class AllSockets:
    """The sockets that a drain closes. The node may start while the server serves other sockets."""

    def __init__(self, foreign: ForeignSockets, settings: Settings) -> None:
        self.connections = _OpenSockets(foreign)
        self.settings = settings

    async def stop(self) -> None:
        """End the tasks of the node and hand over presence."""
        node = running_node()
        if node is not None:
            await node.stop()
