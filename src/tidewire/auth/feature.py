"""Authentication on a node: follows the revocations, and checks the sessions of open sockets."""

from tidewire.auth import stamps
from tidewire.auth.revocations import Revocations
from tidewire.auth.session_watch import SessionWatch
from tidewire.server.current_node import register
from tidewire.server.node import Feature, Node


@register
class SessionFeature(Feature):
    """The revocations that a node has received, and the watch over its sessions."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.redis_clock = stamps.RedisClock()
        self.revocations = Revocations(
            node.hub,
            lambda: node.connections,
            clock=self.redis_clock,
            publish=node.publish,
            on_data_loss=self.on_data_loss,
        )
        self.watch = SessionWatch(
            lambda: node.connections,
            seconds=node.settings.SESSION_CHECK_SECONDS,
            on_end=self.revocations.end_session,
            is_current=self.revocations.is_current,
            clock=node.clock,
        )
        self.revocations.follow()
        node.start_task("sessions", self.watch.run)
        node.start_task("redis clock", self._follow_redis_clock)

    def on_data_loss(self) -> None:
        # A Redis that lost writes of this node, or was unavailable, may have lost revocations as well.
        self.watch.check_now()

    async def _follow_redis_clock(self) -> None:
        await stamps.follow(self.redis_clock, self.node.streams.stamp)
