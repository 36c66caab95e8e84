"""Drain: a node closes its connections without losing events for the clients.

listening -> draining (refuses new clients, closes sockets at a steady pace with a reconnect code) -> drained.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol

from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.conf import Settings
from tidewire.events import Drain
from tidewire.fanout.connection import attempt
from tidewire.fanout.frames import Frame, frame_event

logger = logging.getLogger(__name__)

# The rest of the time is for disconnect handlers and for handing over presence.
CLOSING_PART = 0.8
TICK_SECONDS = 0.05
# After a tick longer than LATE_TICK_SECONDS the pace may exceed the planned one by this factor at most, because other
# nodes must accept the clients.
MAX_PACE_FACTOR = 1.3
LATE_TICK_SECONDS = 0.2
# Fewer sockets than this need no pacing, so that a development server stops at once.
UNPACED_CONNECTIONS = 20
# Enough for close frames to be sent and answered when a drain is hurried.
CLOSE_NOW_SECONDS = 1.0

State = Literal["listening", "draining", "drained"]


class Drainable(Protocol):
    """A socket as a drain sees it."""

    def write(self, frame: Frame) -> None:
        """Send a control message of tidewire, if the client can read it."""

    def close(self, code: CloseCode) -> None:
        """Start to close the socket."""


class Drained(Protocol):
    """The parts of a node that a drain needs."""

    @property
    def connections(self) -> AbstractSet[Drainable]:
        """The open sockets."""

    @property
    def settings(self) -> Settings:
        """The settings, with DRAIN_SECONDS."""

    async def stop(self) -> None:
        """End the tasks and hand over presence."""


class Drainer:
    """Takes a node out of service within `DRAIN_SECONDS`, once. Sockets that are not `paced` are closed together."""

    def __init__(self, node: Drained, *, stop_listening: Callable[[], Awaitable[None]], paced: bool = True) -> None:
        self._node = node
        self._paced = paced
        self._stop_listening = stop_listening
        self._close_now = asyncio.Event()
        self.state: State = "listening"

    @property
    def draining(self) -> bool:
        """True once a drain has begun."""
        return self.state != "listening"

    @property
    def ready(self) -> bool:
        """True if new clients can connect."""
        return self.state == "listening"

    def close_now(self) -> None:
        """Close the remaining sockets now."""
        self._close_now.set()

    async def drain(self) -> None:
        """Close the listener, then every socket, then hand over presence. A second call returns at once."""
        if self.draining:
            return
        self.state = "draining"
        metrics.DRAINING.set(1)
        metrics.DRAIN_STARTED_SECONDS.set_to_current_time()
        try:
            await self._stop_listening()
        except Exception:
            # The sockets must be closed even if this fails.
            logger.exception("the listener was not closed")
        connections = list(self._node.connections)
        seconds = self._node.settings.DRAIN_SECONDS * CLOSING_PART
        logger.info("draining %d connections over %.0f s", len(connections), seconds)
        if not self._paced or len(connections) <= UNPACED_CONNECTIONS:
            seconds = 0.0
        await self._close(connections, seconds)
        await self._wait_until_gone(set(connections), self._node.settings.DRAIN_SECONDS - seconds)
        await self._node.stop()
        self.state = "drained"
        logger.info("drained")

    async def _close(self, connections: list[Drainable], seconds: float) -> None:
        """Close the sockets in random order, evenly over the time; each client is notified just before."""
        random.shuffle(connections)
        loop = asyncio.get_running_loop()
        started, closed = loop.time(), 0
        before = started
        while closed < len(connections):
            now = loop.time()
            due = len(connections)
            if now - started < seconds and not self._close_now.is_set():
                rate = len(connections) / seconds
                most = closed + math.ceil(MAX_PACE_FACTOR * rate * min(now - before, LATE_TICK_SECONDS))
                due = min(int(rate * (now - started)), most)
            before = now
            for connection in connections[closed:due]:
                self._close_one(connection)
            closed = max(closed, due)
            if closed < len(connections):
                await asyncio.sleep(TICK_SECONDS)

    def _close_one(self, connection: Drainable) -> None:
        if connection in self._node.connections:
            # With Daphne a close frame cannot carry the reconnect hint, so an event carries it. Pacing spreads the
            # reconnects.
            attempt(connection.write, frame_event(Drain(reconnect_in_seconds=0.0)))
            attempt(connection.close, CloseCode.DRAINING)

    async def _wait_until_gone(self, closed: set[Drainable], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        # Polling at 20 Hz for a few seconds, once per process, is simpler than an event on the hot path.
        while self._node.connections and loop.time() < end:
            if self._close_now.is_set():
                end = min(end, loop.time() + CLOSE_NOW_SECONDS)
                self._close_now.clear()
            # Handshakes that were in progress when the listener closed.
            for connection in self._node.connections - closed:
                self._close_one(connection)
                closed.add(connection)
            await asyncio.sleep(TICK_SECONDS)
        if self._node.connections:
            logger.warning("%d connections did not close in time", len(self._node.connections))
