"""A document's badge as first rendered; `static/web/badges.js` renders the same from events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dashboard.events import DocumentPeople, DocumentStatus, Phase


@dataclass(frozen=True)
class Badge:
    phase: Phase | Literal["unknown"]
    editors: Sequence[str] = ()
    readers: Sequence[str] = ()
    unnamed: int = 0  # number of users beyond the names


FREE = Badge("free")
UNKNOWN = Badge("unknown")


def badge(status: DocumentPeople | DocumentStatus) -> Badge:
    unnamed = status.editor_count + status.reader_count - len(status.editors) - len(status.readers)
    return Badge(status.phase, status.editors, status.readers, unnamed)
