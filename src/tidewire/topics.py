"""Topics: the public names of streams of events, of two separate kinds.

A state topic has a current value; a stream topic has a history of events.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tidewire.events import StateEvent
from tidewire.presence import Presence

# Channels' rule for group names, minus the part of the 100 characters that the prefix takes.
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
NAME_LENGTH = 80


def check_name(name: str) -> str:
    """Return the name if it is valid for a topic. Raises `ValueError` with the reason otherwise."""
    if len(name) > NAME_LENGTH:
        raise ValueError(f"topic {name[:20]!r}... has {len(name)} characters, {NAME_LENGTH} at most")
    if not _NAME.fullmatch(name):
        raise ValueError(f"topic {name!r}: only letters, digits, - and _, in parts joined by dots")
    return name


# Matches any mark. Clients cannot send it.
ANY = "*"


@dataclass(frozen=True)
class Position:
    """A place in a stream topic: `offset` events since `epoch` began. As text `epoch.mark:offset`.

    `mark` is a digest of all these events. Two positions with the same mark have the same events before them, even if
    Redis lost events and gave their offsets to others.
    """

    epoch: str
    offset: int
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.epoch}.{self.mark}:{self.offset}" if self.mark else f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Parse `epoch.mark:offset`, or `epoch:offset` of a topic without events; None for any other text."""
        match = re.fullmatch(r"([0-9a-f]{1,32})(?:\.([0-9a-f]{1,32}))?:([0-9]{1,15})", text)
        return cls(match[1], int(match[3]), match[2] or "") if match else None


@dataclass(frozen=True)
class StreamTopic:
    """A topic of which every event matters, in order, once. It has a history, and is resumed by offset."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class StateTopic(ABC):
    """A topic of which only the newest value matters. The value, or its changes, are read from presence."""

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)

    @abstractmethod
    async def read(self, presence: Presence, version: int) -> StateEvent:
        """Return the whole value at about this version, as the event for a new subscription."""

    async def read_changes(self, presence: Presence, since: int, version: int) -> StateEvent:
        """Return the changes after a version, as the event for other subscriptions. The whole value unless overridden.

        `since` is for `Presence.changed`, `version` for the event.
        """
        return await self.read(presence, version)

    def merge(self, value: StateEvent, change: StateEvent) -> StateEvent:
        """Return the whole value after a change. The change itself unless overridden."""
        return change


Topic = StateTopic | StreamTopic
