"""The stores as configured by the settings: presence, edit leases and the streams' history."""

from tidewire.conf import settings
from tidewire.edit_lease.redis import RedisEditLeases
from tidewire.keys import Keys
from tidewire.presence.redis import RedisPresence
from tidewire.reports import Reports
from tidewire.streams import Streams


def presence_store() -> RedisPresence:
    """Return the presence store under the configured prefix."""
    options = settings()
    return RedisPresence(
        Keys(options.PREFIX),
        lease_seconds=options.LEASE_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
        indexes=options.PRESENCE_INDEXES,
    )


def edit_lease_store() -> RedisEditLeases:
    """Return the store of edit leases under the configured prefix."""
    options = settings()
    return RedisEditLeases(
        Keys(options.PREFIX),
        lease_seconds=options.EDIT_LEASE_SECONDS,
        answer_seconds=options.EDIT_ANSWER_SECONDS,
        grace_seconds=options.GRACE_SECONDS,
    )


def report_store() -> Reports:
    """Return the nodes' reports under the configured prefix."""
    return Reports(Keys(settings().PREFIX))


def stream_store() -> Streams:
    """Return the streams under the configured prefix."""
    options = settings()
    return Streams(Keys(options.PREFIX), length=options.HISTORY_LENGTH, seconds=options.HISTORY_SECONDS)
