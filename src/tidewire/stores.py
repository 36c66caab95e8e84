"""The stores as the settings name them: presence, edit leases and the streams' history."""

from tidewire.conf import settings
from tidewire.edit_lease.redis import RedisEditLeases
from tidewire.keys import Keys
from tidewire.presence.redis import RedisPresence
from tidewire.reports import Reports
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


def edit_lease_store() -> RedisEditLeases:
    """Edit leases under the configured prefix."""
    given = settings()
    return RedisEditLeases(
        Keys(given.PREFIX),
        lease_seconds=given.EDIT_LEASE_SECONDS,
        answer_seconds=given.EDIT_ANSWER_SECONDS,
        grace_seconds=given.GRACE_SECONDS,
    )


def report_store() -> Reports:
    """Nodes' reports under the configured prefix."""
    return Reports(Keys(settings().PREFIX))


def stream_store() -> Streams:
    """History under the configured prefix."""
    given = settings()
    return Streams(Keys(given.PREFIX), length=given.HISTORY_LENGTH, seconds=given.HISTORY_SECONDS)
