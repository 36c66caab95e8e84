"""Hints about state topics: a few times a second per topic, including the last change."""

import asyncio
from collections.abc import Callable

from channels.layers import BaseChannelLayer

from tidewire.hints import Hint
from tidewire.publishing.direct import send_hint


class Announcer:
    """Notifies every hub that state topics changed. `on_change` notifies the hub of this process at once."""

    def __init__(
        self, layer: BaseChannelLayer, *, prefix: str, coalesce_seconds: float, on_change: Callable[[set[str]], None]
    ) -> None:
        self._layer = layer
        self._prefix = prefix
        self._coalesce_seconds = coalesce_seconds
        self._on_change = on_change
        self._due: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def announce(self, topics: set[str]) -> None:
        """Announce soon; the hub of this process is notified at once."""
        self._on_change(topics)
        self._due |= topics
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        try:
            while self._due:
                due, self._due = self._due, set()
                for topic in due:
                    await send_hint(self._layer, self._prefix, Hint(topic))
                await asyncio.sleep(self._coalesce_seconds)
        finally:
            self._task = None
