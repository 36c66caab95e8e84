"""A wrong channel layer: all members of a group receive one and the same event."""

from typing import Any

from channels.layers import InMemoryChannelLayer


class SharingLayer(InMemoryChannelLayer):
    """Proves that the tests of faulty consumers would detect a shared event."""

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        for channel in self.groups.get(group, ()):
            self.channels[channel].put_nowait((float("inf"), message))
