"""The sockets of the dashboard: the topics and the presence of each."""

from collections.abc import Sequence

from channels.db import database_sync_to_async
from django.contrib.auth.models import User

from dashboard.models import Document
from dashboard.permissions import can_operate
from dashboard.topics import DOCUMENTS, NOTIFICATIONS, USERS, DocumentTopic, edit_lease_name
from tidewire.close_codes import CloseCode
from tidewire.consumers import LiveConsumer
from tidewire.contrib.edit_lease.consumer import LeaseConsumer
from tidewire.contrib.operations.topic import OPERATIONS
from tidewire.presence import PresenceKey
from tidewire.topics import Topic


class UsersConsumer(LiveConsumer):
    """The users on the dashboard."""

    def topics(self) -> Sequence[Topic]:
        return (USERS,)

    def presence(self) -> Sequence[PresenceKey]:
        return (PresenceKey(USERS.name, "online", self.scope["user"].get_username()),)


class DocumentsConsumer(LiveConsumer):
    """The readers and editors of all documents."""

    def topics(self) -> Sequence[Topic]:
        return (DOCUMENTS,)


class DocumentConsumer(LiveConsumer):
    """The readers and editors of one document; the route determines the phase of this socket's user."""

    @property
    def slug(self) -> str:
        return self.scope["url_route"]["kwargs"]["slug"]  # type: ignore[no-any-return]

    async def authorize(self) -> CloseCode | None:
        close_code = await super().authorize()
        if close_code is None and not await _exists(self.slug):
            return CloseCode.UNKNOWN
        return close_code

    def topics(self) -> Sequence[Topic]:
        return (DocumentTopic.of(self.slug),)

    def presence(self) -> Sequence[PresenceKey]:
        phase = self.scope["url_route"]["kwargs"]["phase"]
        return (PresenceKey(DocumentTopic.of(self.slug).name, phase, self.scope["user"].get_username()),)


class EditorConsumer(LeaseConsumer, DocumentConsumer):
    """A document that is being edited: its readers and editors, and its lease."""

    def edits(self) -> str:
        return edit_lease_name(self.slug)

    def topics(self) -> Sequence[Topic]:
        return (DocumentTopic.of(self.slug), *super().topics())


class NotificationsConsumer(LiveConsumer):
    """The actions of all users."""

    def topics(self) -> Sequence[Topic]:
        return (NOTIFICATIONS,)


class OperationsConsumer(LiveConsumer):
    """The state of the nodes; for staff."""

    async def authorize(self) -> CloseCode | None:
        close_code = await super().authorize()
        # A ticket does not contain the staff flag; the few users of this page are worth a query.
        if close_code is None and not await _may_operate(self.scope["user"].pk):
            return CloseCode.FORBIDDEN
        return close_code

    def topics(self) -> Sequence[Topic]:
        return (OPERATIONS,)


@database_sync_to_async
def _may_operate(pk: int | str) -> bool:
    user = User.objects.filter(pk=pk).first()
    return user is not None and can_operate(user)


@database_sync_to_async
def _exists(slug: str) -> bool:
    return Document.objects.filter(slug=slug).exists()
