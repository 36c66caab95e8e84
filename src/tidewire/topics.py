"""Topics: the public names of streams of events, of two kinds that are kept apart.

A state topic shows how things are now; a stream topic tells what happened.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tidewire.events import StateEvent
from tidewire.presence import Presence

# Channels' own rule for group names, less what our prefix takes of its 100 characters.
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
NAME_LENGTH = 80


def check_name(name: str) -> str:
    """The name, if it can name a topic. Raises `ValueError` which says why not."""
    if len(name) > NAME_LENGTH:
        raise ValueError(f"topic {name[:20]!r}... has {len(name)} characters, {NAME_LENGTH} at most")
    if not _NAME.fullmatch(name):
        raise ValueError(f"topic {name!r}: only letters, digits, - and _, in parts joined by dots")
    return name


# Of a position that is good whatever the events before it were. No client can send this.
ANY = "*"


@dataclass(frozen=True)
class Position:
    """A place in a stream topic: `offset` events since `epoch` began. As text `epoch.mark:offset`.

    `mark` is a digest of all these events. Two positions with the same mark have the same events before them, even
    where Redis lost events and gave their offsets to others.
    """

    epoch: str
    offset: int
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.epoch}.{self.mark}:{self.offset}" if self.mark else f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Read `epoch.mark:offset`, or `epoch:offset` of a topic without events; None where it is no position."""
        match = re.fullmatch(r"([0-9a-f]{1,32})(?:\.([0-9a-f]{1,32}))?:([0-9]{1,15})", text)
        return cls(match[1], int(match[3]), match[2] or "") if match else None


@dataclass(frozen=True)
class StreamTopic:
    """Every event matters, in order, once. Has history; its events are resumed by offset."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class StateTopic(ABC):
    """Only the newest value matters. Its value is read from presence, whole or what changed."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)

    @abstractmethod
    async def read(self, presence: Presence, version: int) -> StateEvent:
        """The whole value at about this version, as the event that a new subscription gets."""

    async def read_changes(self, presence: Presence, since: int, version: int) -> StateEvent:
        """What changed after a version, as the event that others get. The whole value unless overridden.

        `since` is for `Presence.changed`, `version` for the event.
        """
        return await self.read(presence, version)

    def merge(self, value: StateEvent, change: StateEvent) -> StateEvent:
        """The whole value after a change. The change itself unless overridden."""
        return change


Topic = StateTopic | StreamTopic
