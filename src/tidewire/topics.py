"""Topics: the public names of streams of events, of two separate kinds.

A state topic has a current value; a stream topic has a history of events. Epoch, offset and recovery are Centrifugo's:
see "History and stream recovery" in its documentation.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from tidewire.events import StateEvent
from tidewire.presence import Presence

__all__ = ["Position", "StateTopic", "StreamTopic", "Topic", "check_name"]

# Channels' rule for group names, minus the part of the 100 characters that the prefix takes.
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
NAME_LENGTH = 80


def check_name(name: str) -> str:
    """Return the name if it is valid for a topic.

    Args:
        name: At most 80 characters: letters, digits, `-` and `_`, in parts joined by dots.

    Returns:
        The same name.

    Raises:
        ValueError: The name is invalid; the message has the reason.

    Example:
        >>> check_name("document.quarterly-report-7")
        'document.quarterly-report-7'

    """
    if len(name) > NAME_LENGTH:
        raise ValueError(f"topic {name[:20]!r}... has {len(name)} characters, {NAME_LENGTH} at most")
    if not _NAME.fullmatch(name):
        raise ValueError(f"topic {name!r}: only letters, digits, - and _, in parts joined by dots")
    return name


# Matches any mark. Clients cannot send it.
ANY_MARK = "*"


@dataclass(frozen=True)
class Position:
    """A place in a stream topic: `offset` events since `epoch` began. As text `epoch.mark:offset`.

    Two positions with the same mark have the same events before them, even if Redis lost events and gave their offsets
    to others.

    Args:
        epoch: Identity of the history, 1 to 32 hexadecimal digits. Offsets of two epochs must not be compared.
        offset: Number of events since the epoch began; 0 before the first.
        mark: Digest of all these events, up to 32 hexadecimal digits; empty if there are none.

    Example:
        >>> str(Position("5f", 12, "c0ffee"))
        '5f.c0ffee:12'
        >>> Position.parse("5f.c0ffee:12") == Position("5f", 12, "c0ffee")
        True

    """

    epoch: str
    offset: int
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.epoch}.{self.mark}:{self.offset}" if self.mark else f"{self.epoch}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Parse a position.

        Args:
            text: `epoch.mark:offset`, or `epoch:offset` of a topic without events.

        Returns:
            The position; None for any other text, so text of a client may be passed.

        """
        match = re.fullmatch(r"([0-9a-f]{1,32})(?:\.([0-9a-f]{1,32}))?:([0-9]{1,15})", text)
        return cls(match[1], int(match[3]), match[2] or "") if match else None


# A topic without events has no epoch. A client with this position has received no event of any epoch.
START = Position("0", 0)


@dataclass(frozen=True)
class StreamTopic:
    """A topic of which every event matters, in order, once. It has a history, and is resumed by offset.

    Args:
        name: The topic's name: see `check_name`, which raises `ValueError` for an invalid one.

    Example:
        >>> StreamTopic("notifications").name
        'notifications'

    """

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)


@dataclass(frozen=True)
class StateTopic(ABC):
    """A topic of which only the newest value matters. The value, or its changes, are read from presence.

    Subclasses must define `read`. A topic with a large value may also define `read_changes` and `merge`.

    Args:
        name: The topic's name: see `check_name`, which raises `ValueError` for an invalid one.

    Example:
        >>> import asyncio
        >>> from typing import Literal
        >>> from tidewire.events import StateEvent
        >>> from tidewire.testing import MemoryPresence
        >>> class Readers(StateEvent):
        ...     type: Literal["readers"] = "readers"
        ...     names: tuple[str, ...]
        >>> class ReadersTopic(StateTopic):
        ...     async def read(self, presence, version):
        ...         [members] = await presence.members([(self.name, "read")], names=20)
        ...         return Readers(topic=self.name, version=version, names=members.names)
        >>> topic = ReadersTopic("document.7")
        >>> presence = MemoryPresence(lease_seconds=10, grace_seconds=3, indexes={})
        >>> value = asyncio.run(topic.read(presence, 1))
        >>> change = asyncio.run(topic.read_changes(presence, 1, 2))
        >>> topic.merge(value, change).encode()
        '{"type":"readers","topic":"document.7","version":2,"names":[]}'

    """

    name: str

    def __post_init__(self) -> None:
        check_name(self.name)

    @abstractmethod
    async def read(self, presence: Presence, version: int) -> StateEvent:
        """Return the whole value, as the event for a new subscription.

        Args:
            presence: The members of all topics, to read the value from.
            version: Number of the value, for the event. The value that is read may be newer.

        Returns:
            The event with the whole value.

        Raises:
            RedisUnavailable: Redis is unavailable; the hub reads the value again later.

        """

    async def read_changes(self, presence: Presence, since: int, version: int) -> StateEvent:
        """Return the changes after a version, as the event for other subscriptions. The whole value unless overridden.

        Args:
            presence: The members of all topics, to read the changes from.
            since: Version with its tag that these subscriptions have, for `Presence.changed`.
            version: Number of the new value, for the event.

        Returns:
            The event with the changes, or with the whole value.

        Raises:
            RedisUnavailable: Redis is unavailable; the hub reads the changes again later.

        """
        return await self.read(presence, version)

    def merge(self, value: StateEvent, change: StateEvent) -> StateEvent:
        """Return the whole value after a change. The change itself unless overridden.

        Args:
            value: The event with the whole value before the change.
            change: The event that `read_changes` returned.

        Returns:
            The event with the whole value after the change.

        """
        return change


Topic = StateTopic | StreamTopic
