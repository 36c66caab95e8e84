"""Publishing an event: with a transaction, or at once.

`publish` and `publish_all` write to the outbox, so an event and the action that it reports are committed together.
`publish_now` is for an event without a row in the database, and fails if Redis is unavailable.
"""

from tidewire.publishing.direct import publish_now
from tidewire.publishing.outbox import publish, publish_all

__all__ = ["publish", "publish_all", "publish_now"]
