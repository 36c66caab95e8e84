"""The socket of an editor: takes the lease, renews it while it is open, and can ask for it."""

from collections.abc import Sequence
from typing import ClassVar

from tidewire.asgi import NO_STATUS
from tidewire.close_codes import CloseCode
from tidewire.consumers import LiveConsumer
from tidewire.contrib.edit_lease import Editor, Step
from tidewire.contrib.edit_lease.feature import EditLeaseFeature
from tidewire.contrib.edit_lease.topic import LeaseAsk, LeaseHandOver, LeaseKeep, LeaseTopic
from tidewire.events import Error, Event
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.frames import frame_event
from tidewire.server.current_node import node
from tidewire.topics import Topic

# Close codes of a browser that leaves the page, and of a script that closes the socket with and without a code. After
# any other code the client is expected to reconnect.
PAGE_CLOSED_CODES = (1000, 1001, NO_STATUS)


class LeaseConsumer(LiveConsumer):
    """A socket of an editor. Subclasses must return the name of the lease's topic from `edits`.

    Example:
        >>> class EditorConsumer(LeaseConsumer):
        ...     def edits(self):
        ...         return f"lease.{self.scope['url_route']['kwargs']['document']}"

    """

    handlers: ClassVar[dict[type[Event], str]] = LiveConsumer.handlers | {
        LeaseAsk: "lease_ask",
        LeaseHandOver: "lease_hand_over",
        LeaseKeep: "lease_keep",
    }
    _editor: Editor | None = None

    def edits(self) -> str:
        """Return the name of the lease's topic, from the route; never from the client's text.

        Raises:
            NotImplementedError: The subclass does not define it.

        """
        raise NotImplementedError

    def topics(self) -> Sequence[Topic]:
        limits = node().settings
        return (
            LeaseTopic(
                self.edits(),
                leases=_feature().store,
                lease_seconds=limits.EDIT_LEASE_SECONDS,
                answer_seconds=limits.EDIT_ANSWER_SECONDS,
            ),
        )

    async def connect(self) -> None:
        await super().connect()
        if hasattr(self, "connection"):
            self._editor = Editor(self.edits(), self.scope["user"].get_username())
            _feature().editors.join(self._editor)
            self.connection.add_cleanup(self._release_lease, self._editor)

    def _release_lease(self, editor: Editor) -> None:
        code = NO_STATUS if self.connection.code is None else self.connection.code
        final = code in CloseCode._value2member_map_ and CloseCode(code).final
        _feature().editors.leave(editor, reconnects=not (final or code in PAGE_CLOSED_CODES))

    async def lease_ask(self, _message: LeaseAsk) -> None:
        """Request the lease for this editor. Without Redis the client receives an `error`."""
        await self._move("ask")

    async def lease_hand_over(self, message: LeaseHandOver) -> None:
        """Pass this editor's lease to the asker. Without Redis the client receives an `error`.

        Args:
            message: The client's message with the name of the asker.

        """
        await self._move("hand_over", message.asker)

    async def lease_keep(self, message: LeaseKeep) -> None:
        """Refuse the asker's request. Without Redis the client receives an `error`.

        Args:
            message: The client's message with the name of the asker.

        """
        await self._move("keep", message.asker)

    async def _move(self, step: Step, asker: str = "") -> None:
        assert self._editor is not None
        try:
            await _feature().editors.move(step, self._editor, asker)
        except RedisUnavailable:
            detail = "Redis is unavailable, so there is no lease now"
            self.connection.write(frame_event(Error(code="unavailable", detail=detail)))


def _feature() -> EditLeaseFeature:
    return node().feature(EditLeaseFeature)
