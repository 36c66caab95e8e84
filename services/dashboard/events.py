"""The dashboard's events as sent to the browser. `tests/golden/` contains an example of each."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tidewire.events import StateEvent, StreamEvent

Phase = Literal["free", "read", "update"]


class UsersCount(StateEvent):
    """The number of distinct users on the dashboard, and the `names` of the first 20 of them."""

    type: Literal["users.count"] = "users.count"
    count: int
    names: tuple[str, ...]


class DocumentPeople(BaseModel):
    """The users on a document, each counted in the strongest `phase`; each tuple has at most 20 names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    phase: Phase
    readers: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    reader_count: int = 0
    editor_count: int = 0


FREE = DocumentPeople(phase="free")


class DocumentStatus(StateEvent):
    """The readers and editors of one document."""

    type: Literal["document.status"] = "document.status"
    slug: str
    phase: Phase
    readers: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    reader_count: int = 0
    editor_count: int = 0


class DocumentsStatus(StateEvent):
    """The readers and editors of documents, by slug. Unless `complete`: only the changed ones, `free` without users."""

    type: Literal["documents.status"] = "documents.status"
    complete: bool
    documents: dict[str, DocumentPeople]


class NotificationCreated(StreamEvent):
    """An action of a user on a document."""

    type: Literal["notification.created"] = "notification.created"
    topic: str = "notifications"
    notification_id: int
    actor: str
    verb: Literal["created", "updated", "deleted", "edit_started"]
    slug: str
    title: str
    at: datetime
