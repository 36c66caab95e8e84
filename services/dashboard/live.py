"""Initial values for the live parts of a page. Waits only briefly for Redis; None if Redis is unavailable."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dashboard.events import FREE, DocumentPeople, DocumentStatus, UsersCount
from dashboard.topics import NOTIFICATIONS, ONLINE, USERS, DocumentTopic, read_people
from tidewire.exceptions import RedisUnavailable
from tidewire.presence import Presence
from tidewire.presence.redis import presence_store
from tidewire.publishing import circuit_breaker
from tidewire.publishing.background import background
from tidewire.streams.redis import stream_store
from tidewire.topics import START

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A page without its live parts is better than a late page; the socket delivers them anyway.
TIMEOUT_SECONDS = 0.5


def users() -> UsersCount | None:
    """Return the number of connected users, with at most 20 names."""
    return _read(lambda store: USERS.read(store, 0))


def everyone() -> list[str] | None:
    """Return the names of all connected users."""

    async def names(store: Presence) -> list[str]:
        [members] = await store.members([(USERS.name, ONLINE)], names=-1)
        return list(members.names)

    return _read(names)


def statuses(slugs: Sequence[str]) -> dict[str, DocumentPeople] | None:
    """Return the readers and editors of these documents, by slug."""
    return _read(lambda store: read_people(store, slugs))


def status(slug: str) -> DocumentStatus | None:
    """Return the readers and editors of one document."""
    return _read(lambda store: DocumentTopic.of(slug).read(store, 0))


def position() -> str | None:
    """Return the current position of the notifications, from which the page's socket resumes."""

    async def end(_: Presence) -> str:
        [position_in_topic] = await stream_store().ends([NOTIFICATIONS.name])
        return str(position_in_topic or START)

    return _read(end)


def _read(read: Callable[[Presence], Awaitable[T]]) -> T | None:
    async def reading() -> T:
        return await read(presence_store())

    if not circuit_breaker.READS.allow():
        return None
    try:
        value = background().run(reading(), seconds=TIMEOUT_SECONDS)
    except RedisUnavailable as error:
        circuit_breaker.READS.record_failure()
        logger.warning("pages are shown without live values: %s", error)
        return None
    circuit_breaker.READS.record_success()
    return value


__all__ = ["FREE", "everyone", "position", "status", "statuses", "users"]
