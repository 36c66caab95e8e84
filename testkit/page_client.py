"""The rules of the page's client (`tidewire/client.js`) that clients of tests and simulations follow. No socket."""

from __future__ import annotations

# The values of client.js. Backoff has full jitter.
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
HEARTBEAT_SECONDS = 20.0
# A server that has not answered a heartbeat for this long is unavailable.
TIMEOUT_SECONDS = 20.0
# An attempt to connect that takes this long counts as refused. The timeout of browsers is longer.
HANDSHAKE_SECONDS = 20.0
# A socket that was open for this long begins its backoff again.
STABLE_SECONDS = 10.0
PING = b'{"type":"ping"}'
# The dashboard's only stream topic.
STREAM = "notifications"
SEEN_IDS = 1000


def longest_delay(attempt: int) -> float:
    """Return the longest delay of a reconnect in seconds; the client waits for a random part of it."""
    longest: float = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**attempt)
    return longest


class SeenIds:
    """The ids of the newest events. The id decides, because a loss of Redis can give an event another offset."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def is_new(self, event_id: str) -> bool:
        """Record an event, and return whether it is seen for the first time."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > SEEN_IDS:
            del self._ids[next(iter(self._ids))]
        return True
