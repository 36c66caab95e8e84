"""The dashboard's topics; the state topics read their values from presence."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.events import FREE, DocumentPeople, DocumentsStatus, DocumentStatus, UsersCount
from tidewire import metrics
from tidewire.conf import settings
from tidewire.events import StateEvent
from tidewire.presence import Members, Presence
from tidewire.topics import StateTopic, StreamTopic

ONLINE = "online"
READ, UPDATE = "read", "update"
FAMILY = "document"


@dataclass(frozen=True)
class UsersTopic(StateTopic):
    """The users on the dashboard."""

    async def read(self, presence: Presence, version: int) -> UsersCount:
        [members] = await presence.members([(self.name, ONLINE)], names=settings().MAX_PRESENCE_NAMES)
        metrics.USERS.set(members.count)
        return UsersCount(topic=self.name, version=version, count=members.count, names=members.names)


@dataclass(frozen=True)
class DocumentTopic(StateTopic):
    """The readers and editors of one document."""

    @classmethod
    def of(cls, slug: str) -> "DocumentTopic":
        """Return the topic of the document with this slug."""
        return cls(f"{FAMILY}.{slug}")

    @property
    def slug(self) -> str:
        """The document's slug."""
        return self.name.partition(".")[2]

    async def read(self, presence: Presence, version: int) -> DocumentStatus:
        people = await read_people(presence, [self.slug])
        return DocumentStatus(topic=self.name, version=version, slug=self.slug, **people[self.slug].model_dump())


@dataclass(frozen=True)
class DocumentsTopic(StateTopic):
    """The readers and editors of all documents: one value per document."""

    async def read(self, presence: Presence, version: int) -> DocumentsStatus:
        status = await self.read_changes(presence, 0, version)
        busy = {slug: people for slug, people in status.documents.items() if people != FREE}
        return status.model_copy(update={"complete": True, "documents": busy})

    async def read_changes(self, presence: Presence, since: int, version: int) -> DocumentsStatus:
        topics = await presence.changed(self.name, since)
        if topics is None:
            return await self.read(presence, version)
        people = await read_people(presence, [topic.partition(".")[2] for topic in topics])
        return DocumentsStatus(topic=self.name, version=version, complete=False, documents=people)

    def merge(self, value: StateEvent, change: StateEvent) -> DocumentsStatus:
        assert isinstance(value, DocumentsStatus)
        assert isinstance(change, DocumentsStatus)
        if change.complete:
            return change
        merged = value.documents | change.documents
        busy = {slug: people for slug, people in merged.items() if people != FREE}
        return change.model_copy(update={"complete": True, "documents": busy})


def edit_lease_name(slug: str) -> str:
    """Return the name of the topic of a document's edit lease."""
    return f"lease.{slug}"


async def read_people(presence: Presence, slugs: Sequence[str]) -> dict[str, DocumentPeople]:
    """Return the readers and editors of each document, in one call to the store."""
    asked = [(f"{FAMILY}.{slug}", phase) for slug in slugs for phase in (READ, UPDATE)]
    members = await presence.members(asked, names=settings().MAX_PRESENCE_NAMES)
    pairs = zip(slugs, members[::2], members[1::2], strict=True)
    return {slug: _people(readers, editors) for slug, readers, editors in pairs}


def _people(readers: Members, editors: Members) -> DocumentPeople:
    """Return the members without counting an editor as a reader too, as far as the names reach."""
    only_readers = tuple(name for name in readers.names if name not in editors.names)
    reader_count = readers.count - (len(readers.names) - len(only_readers))
    return DocumentPeople(
        phase="update" if editors.count else "read" if reader_count else "free",
        readers=only_readers,
        editors=editors.names,
        reader_count=reader_count,
        editor_count=editors.count,
    )


USERS = UsersTopic("users")
DOCUMENTS = DocumentsTopic("documents")
NOTIFICATIONS = StreamTopic("notifications")
