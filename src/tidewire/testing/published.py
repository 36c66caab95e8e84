"""The events that a block of code publishes, for tests without sockets and without Redis."""

from collections.abc import Sequence
from typing import Any, Self
from uuid import UUID

from django.db import transaction

from tidewire.events import StreamEvent
from tidewire.models import OutboxEvent
from tidewire.publishing import outbox


class PublishedEvents:
    """Records the events that a block publishes by `publish`. Use it as a context manager, in any of Django's tests.

    After the block it has the events of committed transactions, in their order. An event that was rolled back is
    not among them, nor is one whose transaction is still open after the block. The transaction that `TestCase` opens
    around a test does not count: an event that is published outside of the project's own `atomic()` raises
    `NotInTransaction`, as in production.

    Attributes:
        events: The events. Empty within the block.

    Example:
        >>> from typing import Literal
        >>> from uuid import uuid4
        >>> from django.db import transaction
        >>> from tidewire.events import StreamEvent
        >>> from tidewire.publish import publish
        >>> class NewsPosted(StreamEvent):
        ...     type: Literal["news.posted"] = "news.posted"
        ...     topic: str = "news"
        ...     title: str
        >>> with PublishedEvents() as published:
        ...     with transaction.atomic():
        ...         publish("news", NewsPosted(id=uuid4(), title="Hello"))
        >>> published.expect("news.posted", title="Hello").topic
        'news'
        >>> published.expect_nothing("news.deleted")

    """

    events: list[StreamEvent]

    def __init__(self) -> None:
        self.events = []
        self._inserted: list[StreamEvent] = []
        self._committed: set[UUID] = set()

    def __enter__(self) -> Self:
        outbox.watchers.append(self._watch)
        return self

    def __exit__(self, error: type[BaseException] | None, *_error: object) -> None:
        outbox.watchers.remove(self._watch)
        if error is not None or not self._inserted or outbox.in_transaction():
            return
        # In a `TestCase` no commit is reported. A row that a rollback has not removed is as good as committed.
        ids = [event.id for event in self._inserted]
        kept = set(OutboxEvent.objects.filter(event_id__in=ids).values_list("event_id", flat=True))
        self.events = [event for event in self._inserted if event.id in kept | self._committed]

    def expect(self, kind: str, **fields: Any) -> StreamEvent:
        """Return the first event of a type.

        Args:
            kind: The event's type.
            fields: Values that fields of the event must have.

        Returns:
            The event.

        Raises:
            AssertionError: There is no such event. The message lists those that were published.

        """
        for event in self.events:
            if event.type == kind and all(getattr(event, name, None) == value for name, value in fields.items()):
                return event
        wanted = kind + (f" with {fields}" if fields else "")
        raise AssertionError(f"{wanted} was not published; {self._report()}")

    def expect_nothing(self, kind: str | None = None) -> None:
        """Require that no event was published.

        Args:
            kind: The type that must not be among the events; None: there must be none at all.

        Raises:
            AssertionError: There is such an event.

        """
        if any(kind in (None, event.type) for event in self.events):
            raise AssertionError(f"{kind or 'an event'} was published; {self._report()}")

    def _watch(self, events: Sequence[StreamEvent]) -> None:
        self._inserted += events
        transaction.on_commit(lambda: self._committed.update(event.id for event in events), robust=True)

    def _report(self) -> str:
        return "published: " + ", ".join(event.encode() for event in self.events) if self.events else "nothing was"
