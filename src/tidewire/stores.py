"""The stores as configured by the settings: presence, edit leases and the streams' history."""

from tidewire.conf import settings
from tidewire.edit_lease.redis import RedisEditLeases
from tidewire.keys import Keys
from tidewire.presence.redis import RedisPresence
from tidewire.reports import Reports
from tidewire.streams import Streams


def presence_store() -> RedisPresence:
    """Return the presence store under the configured prefix."""
    given = settings()
    return RedisPresence(
        Keys(given.PREFIX),
        lease_seconds=given.LEASE_SECONDS,
        grace_seconds=given.GRACE_SECONDS,
        indexes=given.PRESENCE_INDEXES,
    )


def edit_lease_store() -> RedisEditLeases:
    """Return the store of edit leases under the configured prefix."""
    given = settings()
    return RedisEditLeases(
        Keys(given.PREFIX),
        lease_seconds=given.EDIT_LEASE_SECONDS,
        answer_seconds=given.EDIT_ANSWER_SECONDS,
        grace_seconds=given.GRACE_SECONDS,
    )


def report_store() -> Reports:
    """Return the nodes' reports under the configured prefix."""
    return Reports(Keys(settings().PREFIX))


def stream_store() -> Streams:
    """Return the streams under the configured prefix."""
    given = settings()
    return Streams(Keys(given.PREFIX), length=given.HISTORY_LENGTH, seconds=given.HISTORY_SECONDS)
