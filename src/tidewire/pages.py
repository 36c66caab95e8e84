"""Live values for a page as it is first rendered, without a long wait for Redis: they are None if it is unavailable.

The socket delivers the same values, and from the page's position on all that follows.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tidewire.exceptions import RedisUnavailable
from tidewire.presence import Members, Presence
from tidewire.presence.redis import presence_store
from tidewire.publishing import circuit_breaker
from tidewire.publishing.background import background
from tidewire.streams.redis import stream_store
from tidewire.topics import START, StreamTopic

__all__ = ["members", "position", "present", "read"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS: Final = 0.5
# The family of the topics of `tidewire.contrib.presence`, and the phase of their members.
ROOM_FAMILY: Final = "presence"
ROOM_PHASE: Final = "in"


def position(topic: str | StreamTopic) -> str | None:
    """Return the current position of a stream topic, from which the page's socket resumes.

    Read it before the content of the page: an event in between is then delivered, and cannot be lost.

    Args:
        topic: The topic, or its name.

    Returns:
        The position as text for the page; None if Redis is unavailable.

    Example:
        >>> context = {"position": position("notifications")}

    """
    name = topic.name if isinstance(topic, StreamTopic) else topic

    async def end(_presence: Presence) -> str:
        [found] = await stream_store().ends([name])
        return str(found or START)

    return read(end)


def members(topic: str, phase: str, *, names: int = 20) -> Members | None:
    """Return the members of a topic in a phase.

    Args:
        topic: Name of the topic.
        phase: The role of the members, as in `PresenceKey`.
        names: The most names; -1 for all.

    Returns:
        The number of members and the earliest names; None if Redis is unavailable.

    Example:
        >>> context = {"readers": members("document.7", "read")}

    """

    async def found(presence: Presence) -> Members:
        [result] = await presence.members([(topic, phase)], names=names)
        return result

    return read(found)


def present(room: str, *, names: int = 20) -> Members | None:
    """Return the members of a room of `tidewire.contrib.presence.PresenceMixin`.

    Args:
        room: Name of the room, as in `presence_join`.
        names: The most names; -1 for all.

    Returns:
        The number of members and the earliest names; None if Redis is unavailable.

    Example:
        >>> context = {"present": present("lobby")}

    """
    return members(room_topic(room), ROOM_PHASE, names=names)


def read(work: Callable[[Presence], Awaitable[T]]) -> T | None:
    """Read other values of presence, with the same deadline and the same circuit breaker.

    Args:
        work: Reads a value from the given presence store.

    Returns:
        The value; None if Redis is unavailable.

    Example:
        >>> async def busy(presence):
        ...     return await presence.changed("documents", since=0)
        >>> context = {"busy": read(busy)}

    """

    async def reading() -> T:
        return await work(presence_store())

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


def room_topic(room: str) -> str:
    """Return the name of a room's topic."""
    return f"{ROOM_FAMILY}.{room}"
