"""Initial values for the live parts of a page. Waits only briefly for Redis; None if Redis is unavailable."""

from collections.abc import Sequence

from dashboard.events import FREE, DocumentPeople, DocumentStatus, UsersCount
from dashboard.topics import NOTIFICATIONS, ONLINE, USERS, DocumentTopic, read_people
from tidewire import pages
from tidewire.presence import Presence


def users() -> UsersCount | None:
    """Return the number of connected users, with at most 20 names."""
    return pages.read(lambda store: USERS.read(store, 0))


def everyone() -> list[str] | None:
    """Return the names of all connected users."""

    async def names(store: Presence) -> list[str]:
        [members] = await store.members([(USERS.name, ONLINE)], names=-1)
        return list(members.names)

    return pages.read(names)


def statuses(slugs: Sequence[str]) -> dict[str, DocumentPeople] | None:
    """Return the readers and editors of these documents, by slug."""
    return pages.read(lambda store: read_people(store, slugs))


def status(slug: str) -> DocumentStatus | None:
    """Return the readers and editors of one document."""
    return pages.read(lambda store: DocumentTopic.of(slug).read(store, 0))


def position() -> str | None:
    """Return the current position of the notifications, from which the page's socket resumes."""
    return pages.position(NOTIFICATIONS)


__all__ = ["FREE", "everyone", "position", "status", "statuses", "users"]
