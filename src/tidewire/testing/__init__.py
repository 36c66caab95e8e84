"""Stores in memory, for tests of a project and of the library. No setting reaches them.

Each passes the same tests as its counterpart in Redis.
"""

from tidewire.testing.edit_leases import MemoryEditLeases
from tidewire.testing.presence import MemoryPresence
from tidewire.testing.streams import MemoryStreams

__all__ = ["MemoryEditLeases", "MemoryPresence", "MemoryStreams"]
