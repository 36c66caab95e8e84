"""Channels' layer in memory, for code in several threads and event loops."""

import asyncio
from typing import Any

from channels.layers import InMemoryChannelLayer


class MemoryLayer(InMemoryChannelLayer):
    """Belongs to the event loop that creates it. Other loops, such as that of `async_to_sync`, send through it.

    Channels' own layer lets a consumer in another loop wait for ever.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._loop = asyncio.get_running_loop()

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        await self._run(super().send(channel, message))

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        await self._run(super().group_send(group, message))

    async def _run(self, work: Any) -> None:
        if asyncio.get_running_loop() is self._loop:
            await work
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
