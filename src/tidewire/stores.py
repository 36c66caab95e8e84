"""The stores as the settings name them: presence and the streams' history."""

from tidewire.conf import settings
from tidewire.keys import Keys
from tidewire.presence.redis import RedisPresence
from tidewire.streams import Streams


def presence_store() -> RedisPresence:
    """Presence under the configured prefix."""
    given = settings()
    return RedisPresence(
        Keys(given.PREFIX),
        lease_seconds=given.LEASE_SECONDS,
        grace_seconds=given.GRACE_SECONDS,
        indexes=given.INDEXES,
    )


def stream_store() -> Streams:
    """History under the configured prefix."""
    given = settings()
    return Streams(Keys(given.PREFIX), length=given.HISTORY_LENGTH, seconds=given.HISTORY_SECONDS)
