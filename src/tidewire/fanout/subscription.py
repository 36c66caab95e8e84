"""A subscription: a connection on a topic, as an explicit state machine.

joining -> following, if the connection has its first value or position; joining or following -> lost, if events that
it lacks cannot be recovered; lost -> following, if it was notified; following -> joining, if the topic begins.
"""

from enum import Enum

from tidewire.fanout.connection import Connection
from tidewire.topics import Position


class State(Enum):
    """The states of a subscription."""

    JOINING = "joining"
    FOLLOWING = "following"
    LOST = "lost"


# The states from which each one may be entered.
_ALLOWED = {
    State.JOINING: (State.FOLLOWING,),
    State.FOLLOWING: (State.JOINING, State.LOST),
    State.LOST: (State.JOINING, State.FOLLOWING),
}


class Subscription:
    """`position` is the last version or offset delivered; None unless the subscription follows the topic.

    `at` is the position at which it joins a stream topic; None if it needs only new events.
    """

    __slots__ = ("at", "connection", "position", "state", "topic")

    def __init__(self, topic: str, connection: Connection, at: Position | None = None) -> None:
        self.topic = topic
        self.connection = connection
        self.at = at
        self.state = State.JOINING
        self.position: int | None = None

    def follow(self, position: int) -> None:
        """Record that the connection has everything up to a position, or was notified of a loss before it."""
        self._enter(State.FOLLOWING)
        self.position = position

    def join_again(self, at: Position) -> None:
        """Let the connection join again at a position."""
        self._enter(State.JOINING)
        self.position, self.at = None, at

    def lose(self) -> None:
        """Record that the connection lacks events that cannot be recovered."""
        self._enter(State.LOST)
        self.position = None

    def _enter(self, state: State) -> None:
        if self.state not in _ALLOWED[state]:
            expected = " or ".join(each.value for each in _ALLOWED[state])
            raise RuntimeError(
                f"topic {self.topic}: a subscription becomes {state.value} from {expected}, and is {self.state.value}"
            )
        self.state = state
