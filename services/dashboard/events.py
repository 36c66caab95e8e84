"""The dashboard's events, as they go to the browser. `tests/golden/` holds one of each."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tidewire.events import StateEvent, StreamEvent

Phase = Literal["free", "read", "update"]


class UsersCount(StateEvent):
    """How many distinct users are on the dashboard; at most 20 `names`, those here longest."""

    type: Literal["users.count"] = "users.count"
    count: int
    names: tuple[str, ...]


class DocumentPeople(BaseModel):
    """Who is on a document. `phase` is the strongest that anybody has; at most 20 names each."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    phase: Phase
    readers: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    reader_count: int = 0
    editor_count: int = 0


FREE = DocumentPeople(phase="free")


class DocumentStatus(StateEvent):
    """Who is on one document."""

    type: Literal["document.status"] = "document.status"
    slug: str
    phase: Phase
    readers: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    reader_count: int = 0
    editor_count: int = 0


class DocumentsStatus(StateEvent):
    """Who is on which documents, by slug. Not `complete`: only what changed, `free` where nobody is left."""

    type: Literal["documents.status"] = "documents.status"
    complete: bool
    documents: dict[str, DocumentPeople]


class NotificationCreated(StreamEvent):
    """What a user did to a document."""

    type: Literal["notification.created"] = "notification.created"
    topic: str = "notifications"
    notification_id: int
    actor: str
    verb: Literal["created", "updated", "deleted", "edit_started"]
    slug: str
    title: str
    at: datetime
