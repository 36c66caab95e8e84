"""Tests of a project: sockets, topics and presence without Redis, a clock to move, and a live server.

Its parts stand in for Redis, for a browser, or for Django's live server; no setting reaches them. Each store passes the
same tests as its counterpart in Redis. `docs/testing.md` has an example of each.
"""

from tidewire.testing.edit_leases import MemoryEditLeases
from tidewire.testing.live_server import TidewireServerMixin
from tidewire.testing.node import MemoryNode
from tidewire.testing.presence import MemoryPresence
from tidewire.testing.published import PublishedEvents
from tidewire.testing.sockets import MemorySocket
from tidewire.testing.streams import MemoryStreams

__all__ = [
    "MemoryEditLeases",
    "MemoryNode",
    "MemoryPresence",
    "MemorySocket",
    "MemoryStreams",
    "PublishedEvents",
    "TidewireServerMixin",
]
