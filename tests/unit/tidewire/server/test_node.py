"""A node: its connections and their limits, slow sockets, outages, and its end."""

import asyncio
import dataclasses

import pytest
from channels.layers import InMemoryChannelLayer

from tests.unit.tidewire.fakes import LIMIT, FakeWriter, Hall
from tidewire import metrics
from tidewire.close_codes import CloseCode
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.connection import Connection
from tidewire.fanout.frames import frame
from tidewire.fanout.hub import LONGEST_CHECK_SECONDS
from tidewire.presence import PresenceKey
from tidewire.server import current_node
from tidewire.server.current_node import on_start, running_node, set_node
from tidewire.server.drain import Drainer
from tidewire.server.node import Feature, FeatureFactory, Node

ADA = PresenceKey("hall", "in", "ada")
MADE = frame("hello")


class Socket:
    """A connection of the node, with a fake writer."""

    def __init__(self, here: Node, *, user: str = "1") -> None:
        self.writer = FakeWriter()
        self.closed: list[CloseCode] = []
        self.connection: Connection = here.connect(
            self.writer, consumer="Test", user=user, session="", close=self.closed.append
        )
        self.connection.limit = self.connection.event_limit = LIMIT

    @property
    def types(self) -> list[str]:
        return [frame.text.split('"')[3] for frame in self.writer.frames]


def value(metric, *labels: str) -> float:
    return (metric.labels(*labels) if labels else metric)._value.get()


async def test_connections_are_counted_while_they_are_open(here):
    """The gauge shows the currently open connections of each consumer."""
    before = value(metrics.CONNECTIONS, "Test")
    sockets = [Socket(here) for _ in range(3)]
    assert value(metrics.CONNECTIONS, "Test") == before + 3
    assert len(here.connections) == 3
    for socket in sockets:
        here.disconnect(socket.connection)
    assert value(metrics.CONNECTIONS, "Test") == before
    assert here.connections == set()


async def test_a_connection_that_goes_leaves_its_topics(here):
    """A closed socket receives no events."""
    socket = Socket(here)
    here.hub.subscribe(Hall("hall"), socket.connection)
    [subscription] = here.hub._subscriptions[socket.connection]
    here.disconnect(socket.connection)
    assert subscription not in here.hub._loops[subscription.topic].feed.subscriptions


class TestBounds:
    async def test_a_user_has_so_many_connections(self, here):
        """A further connection is refused; other users' connections are not."""
        here.settings = _with(here, CONNECTIONS_PER_USER=2)
        assert here.exceeded_limit("1") is None
        sockets = [Socket(here), Socket(here)]
        assert here.exceeded_limit("1") == CloseCode.TOO_MANY
        assert here.exceeded_limit("2") is None
        here.disconnect(sockets[0].connection)
        assert here.exceeded_limit("1") is None

    async def test_a_node_has_so_many_connections(self, here):
        """A further connection is refused, and its client reconnects to another node."""
        here.settings = _with(here, CONNECTIONS_PER_NODE=2)
        sockets = [Socket(here, user=user) for user in "12"]
        assert here.exceeded_limit("3") == CloseCode.BUSY
        here.disconnect(sockets[0].connection)
        assert here.exceeded_limit("3") is None

    async def test_users_who_have_gone_are_forgotten(self, here):
        """Memory per user does not grow with the number of former users."""
        for number in range(100):
            here.exceeded_limit(str(number))
            here.disconnect(Socket(here, user=str(number)).connection)
        assert len(here._by_user) == 0


class TestSlowSockets:
    async def test_a_socket_that_has_room_again_gets_what_it_missed(self, here):
        """The socket receives the newest value within moments, and no older ones."""
        socket = Socket(here)
        here.hub.subscribe(Hall("hall"), socket.connection)
        await asyncio.sleep(1)
        socket.writer.frames.clear()
        socket.writer.full = True
        for name in ("ada", "bob"):
            here.presence.join(PresenceKey("hall", "in", name))
            await asyncio.sleep(1)
        assert socket.writer.frames == []
        socket.writer.full = False
        await asyncio.sleep(0.1)
        [frame] = socket.writer.frames
        assert '"names":["ada","bob"]' in frame.text

    async def test_a_socket_that_stays_full_is_cut_once(self, here):
        """A full socket is closed with its own code and counted, and its backlog is dropped."""
        before = value(metrics.SLOW_CLOSES, "Test")
        socket = Socket(here)
        socket.writer.full = True
        assert not socket.connection.try_write([MADE], MADE.wire)
        await asyncio.sleep(here.settings.SLOW_CONSUMER_SECONDS - 0.5)
        assert not socket.writer.was_aborted
        await asyncio.sleep(5)
        assert socket.writer.was_aborted
        assert socket.closed == [CloseCode.SLOW]
        assert socket.connection.code == CloseCode.SLOW
        assert value(metrics.SLOW_CLOSES, "Test") == before + 1

    async def test_a_socket_that_closed_while_full_is_forgotten(self, here):
        """No task watches a closed socket."""
        socket = Socket(here)
        socket.writer.full = True
        assert not socket.connection.try_write([MADE], MADE.wire)
        here.disconnect(socket.connection)
        await asyncio.sleep(10)
        assert len(here.slow_consumers) == 0
        assert socket.closed == []

    async def test_what_waits_is_measured(self, here):
        """The gauge is the backlog of all slow sockets of the process."""
        socket = Socket(here)
        socket.writer.full = True
        assert not socket.connection.try_write([MADE], MADE.wire)
        await asyncio.sleep(0.1)
        assert value(metrics.BACKLOG_BYTES) == LIMIT + 1
        socket.writer.full = False
        await asyncio.sleep(0.1)
        assert value(metrics.BACKLOG_BYTES) == 0


class TestScrape:
    async def test_members_are_counted_by_family_when_somebody_asks(self, here):
        """A member that has left counts as 0 at the next scrape, instead of its former value."""
        bob = PresenceKey("document.plan", "read", "bob")
        for key in (ADA, bob, PresenceKey("document.other", "read", "bob")):
            here.presence.join(key)
        here.update_metrics()
        assert (value(metrics.PRESENCE_MEMBERS, "hall"), value(metrics.PRESENCE_MEMBERS, "document")) == (1, 2)
        here.presence.leave(ADA)
        here.presence.leave(bob)
        here.update_metrics()
        assert (value(metrics.PRESENCE_MEMBERS, "hall"), value(metrics.PRESENCE_MEMBERS, "document")) == (0, 1)

    async def test_slow_sockets_and_the_limit_are_told(self, here):
        """The values that alerts count and divide by."""
        socket = Socket(here)
        socket.writer.full = True
        assert not socket.connection.try_write([MADE], MADE.wire)
        here.update_metrics()
        assert value(metrics.SLOW_CONNECTIONS) == 1
        assert value(metrics.CONNECTIONS_LIMIT) == here.settings.CONNECTIONS_PER_NODE


class TestOutage:
    @pytest.fixture
    def outage(self, here, monkeypatch):
        async def versions(_topics):
            raise RedisUnavailable("unavailable")

        with monkeypatch.context() as patched:
            patched.setattr(here.presence_store, "versions", versions)
            yield patched

    async def test_sockets_stay_open_and_say_stale(self, here, outage):
        """Pages must show that their values may be out of date, and when they no longer are."""
        socket = Socket(here)
        await asyncio.sleep(3)
        assert socket.types == ["stale"]
        late = Socket(here)
        assert late.types == ["stale"]
        outage.undo()
        # After the last failure the hub checks again within this time.
        await asyncio.sleep(LONGEST_CHECK_SECONDS + 1)
        assert socket.types == ["stale", "stale"]
        assert '"stale":false' in socket.writer.frames[-1].text
        assert socket.closed == []


class TestFeatures:
    async def test_a_feature_that_fails_costs_only_itself(self, here, caplog):
        """Whatever hook it fails in, the node and its other features go on."""
        called: list[str] = []

        class Works(Feature):
            def on_serve(self, drainer, start_drain) -> None:
                called.append("on_serve")

            async def on_drained(self) -> None:
                called.append("on_drained")

            def on_data_loss(self) -> None:
                called.append("on_data_loss")

        class Fails(Feature):
            def on_serve(self, drainer, start_drain) -> None:
                raise KeyError("on_serve")

            async def on_drained(self) -> None:
                raise KeyError("on_drained")

            def on_data_loss(self) -> None:
                raise KeyError("on_data_loss")

        def does_not_start(_node: Node) -> Feature:
            raise KeyError("start")

        other = _node(here, [does_not_start, Fails, Works])
        other.serve(Drainer(other, stop_listening=other.stop), lambda: None)
        other._on_data_loss()
        await other.stop()
        await other.finish()
        assert called == ["on_serve", "on_data_loss", "on_drained"]
        for hook in ("start", "on_serve", "on_data_loss", "on_drained"):
            assert f"KeyError: '{hook}'" in caplog.text

    async def test_a_feature_that_hangs_does_not_keep_a_drained_process(self, here):
        """The process must exit before it is killed."""

        class Hangs(Feature):
            async def on_drained(self) -> None:
                await asyncio.sleep(1e9)

        other = _node(here, [Hangs])
        await other.stop()
        before = asyncio.get_running_loop().time()
        await other.finish()
        assert asyncio.get_running_loop().time() - before < 3

    async def test_a_feature_that_another_one_needs_is_started_once(self, here):
        """Otherwise its tasks would run twice."""
        started: list[str] = []

        class Needed(Feature):
            def __init__(self, node: Node) -> None:
                super().__init__(node)
                started.append("needed")

        class Needs(Feature):
            def __init__(self, node: Node) -> None:
                super().__init__(node)
                node.feature(Needed)

        other = _node(here, [Needs, Needed])
        await other.stop()
        assert started == ["needed"]


class TestStop:
    async def test_presence_is_handed_over(self, here):
        """Members leave after their grace instead of the lease."""
        here.presence.join(ADA)
        await asyncio.sleep(1)
        await here.stop()
        await asyncio.sleep(here.settings.GRACE_SECONDS + 0.1)
        assert await here.presence_store.sweep() == {"hall"}

    async def test_what_presence_is_just_being_told_does_not_come_after_it(self, here):
        """A count that is being written when the node stops must not be the last one."""
        order: list[int] = []
        put = here.presence_store.put

        async def slowly(node_name, counts):
            counts = list(counts)
            if counts == [(ADA, 1)]:
                await asyncio.sleep(0.5)
            order.extend(count for _, count in counts)
            return await put(node_name, counts)

        here.presence_store.put = slowly
        here.presence.join(ADA)
        await asyncio.sleep(0.1)
        await here.stop()
        await asyncio.sleep(1)
        assert order[-1] == 0

    async def test_no_task_is_left(self, here):
        """A stopped node does nothing more."""
        here.hub.refresh({"hall"})
        await here.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_redis_being_away_does_not_keep_it(self, here):
        """If Redis cannot be reached, the members leave with the lease, a little later."""
        here.presence.join(ADA)
        await asyncio.sleep(0.5)

        async def never(_node, _counts):
            await asyncio.sleep(1e9)

        here.presence_store.put = never
        before = asyncio.get_running_loop().time()
        await here.stop()
        assert asyncio.get_running_loop().time() - before < 3


def _node(here: Node, features: list[FeatureFactory]) -> Node:
    """Return a second node, with the stores of the first one."""
    return Node(
        here.settings,
        layer=InMemoryChannelLayer(),
        presence_store=here.presence_store,
        streams=here.streams,
        features=features,
        clock=here.clock,
    )


def _with(here: Node, **features: object):
    return dataclasses.replace(here.settings, **features)


async def test_a_server_learns_of_a_node_that_starts_late(monkeypatch, here):
    """A node starts with the first consumer that needs one, which may be long after the server."""
    monkeypatch.setattr(current_node, "_on_start", [])
    monkeypatch.setattr(current_node, "_nodes", {})
    started = []
    on_start(started.append)
    assert running_node() is None
    set_node(here)
    assert started == [here]
    assert running_node() is here
