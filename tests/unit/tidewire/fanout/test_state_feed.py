"""The newest value of a state topic reaches every subscription exactly once."""

import pytest

from tests.unit.tidewire.fakes import FakeSocket, Hall, finish, step
from tidewire.fanout import delivery
from tidewire.fanout.state_feed import StateFeed
from tidewire.fanout.subscription import Subscription
from tidewire.presence import PresenceKey
from tidewire.presence.witness import Witness
from tidewire.testing import MemoryPresence


class Scene:
    """A hall, its feed and its members."""

    def __init__(self, *, changes: bool = False) -> None:
        self.presence = MemoryPresence(lease_seconds=100, grace_seconds=1, indexes={}, clock=lambda: 0.0)
        self.feed = StateFeed(Hall("hall", changes=changes), self.presence)

    async def enter(self, *names: str) -> None:
        node = Witness("n")
        await self.presence.touch(node)
        await self.presence.put(node, [(PresenceKey("hall", "in", name), 1) for name in names])

    def subscribe(self, socket: FakeSocket) -> Subscription:
        subscription = self.feed.add(socket.connection, None)
        self.feed.catch_up(subscription)
        return subscription

    async def joined(self) -> FakeSocket:
        socket = FakeSocket()
        self.subscribe(socket)
        await self.feed.read()
        return socket


@pytest.fixture
def scene():
    return Scene()


def names(socket: FakeSocket) -> list[list[str]]:
    return [event["names"] for event in socket.take()]


async def test_the_first_subscription_waits_for_the_first_reading(scene):
    """Before the first reading the feed sends nothing, and asks for a refresh."""
    await scene.enter("ada")
    socket = FakeSocket()
    subscription = scene.feed.add(socket.connection, None)
    assert not scene.feed.catch_up(subscription)
    assert socket.take() == []
    await scene.feed.read()
    assert names(socket) == [["ada"]]


async def test_an_empty_topic_has_a_value_too(scene):
    """A page receives an empty value too."""
    socket = await scene.joined()
    assert socket.take() == [{"type": "test.here", "topic": "hall", "version": 0, "names": []}]


async def test_a_later_subscription_is_served_from_memory(scene):
    """A subscription to a topic that the node already follows gets its snapshot at once."""
    await scene.enter("ada")
    await scene.joined()
    late = FakeSocket()
    assert scene.feed.catch_up(scene.feed.add(late.connection, None))
    assert names(late) == [["ada"]]


async def test_a_change_reaches_everybody_once(scene):
    """A refresh delivers a new value once; a second refresh delivers nothing."""
    sockets = [await scene.joined(), await scene.joined()]
    for socket in sockets:
        socket.take()
    await scene.enter("ada")
    await scene.feed.read()
    await scene.feed.read()
    assert [names(socket) for socket in sockets] == [[["ada"]], [["ada"]]]


async def test_versions_tell_whether_the_feed_is_behind(scene):
    """A feed without a value is behind any version."""
    assert scene.feed.is_behind(0)
    await scene.feed.read()
    assert not scene.feed.is_behind(0)
    assert scene.feed.is_behind(1)


async def test_who_has_the_version_before_gets_the_change(scene):
    """Sockets that are further behind get the whole value."""
    scene = Scene(changes=True)
    await scene.enter("ada")
    near, far = await scene.joined(), await scene.joined()
    near.take()
    far.take()
    far.writer.full = True
    await scene.enter("bob")
    await scene.feed.read()
    assert far.take() == []
    far.drain()
    await scene.enter("eve")
    await scene.feed.read()
    assert [event["type"] for event in near.take()] == ["test.joined", "test.joined"]
    assert names(far) == [["ada", "latest", "latest"]]


async def test_who_comes_after_a_change_gets_the_whole(scene):
    """A snapshot is the value with all changes, not the last change."""
    scene = Scene(changes=True)
    await scene.enter("ada")
    await scene.joined()
    await scene.enter("bob")
    await scene.feed.read()
    late = FakeSocket()
    scene.subscribe(late)
    assert names(late) == [["ada", "latest"]]


async def test_a_full_socket_gets_the_newest_value_only(scene):
    """A state has no history, so a newer value replaces the one that a slow reader has not received yet."""
    socket = FakeSocket()
    subscription = scene.subscribe(socket)
    await scene.feed.read()
    socket.take()
    socket.writer.full = True
    for name in ("ada", "bob", "eve"):
        await scene.enter(name)
        await scene.feed.read()
    assert socket.take() == []
    assert socket.became_full == 1
    socket.drain()
    assert scene.feed.catch_up(subscription)
    assert names(socket) == [["ada", "bob", "eve"]]
    assert scene.feed.catch_up(subscription)
    assert socket.take() == []


async def test_a_broken_socket_keeps_nothing_from_the_others(scene):
    """An error of one socket does not affect others."""
    broken, other = await scene.joined(), await scene.joined()
    broken.writer.broken = True
    other.take()
    await scene.enter("ada")
    await scene.feed.read()
    assert names(other) == [["ada"]]


async def test_a_version_that_went_back_is_read_anew(scene):
    """After Redis has lost its data, versions start again, and its new value must be used."""
    await scene.enter("ada", "bob")
    socket = await scene.joined()
    socket.take()
    scene.feed._presence = MemoryPresence(lease_seconds=9, grace_seconds=1, indexes={}, clock=lambda: 0.0)
    scene.presence = scene.feed._presence
    await scene.enter("eve")
    await scene.feed.read()
    assert names(socket) == [["eve"]]


async def test_a_feed_that_forgot_reads_anew(scene):
    """After a failure the feed does not trust its memory."""
    socket = await scene.joined()
    await scene.enter("ada")
    await scene.feed.read()
    socket.take()
    scene.feed.invalidate()
    assert scene.feed.needs_read
    late = FakeSocket()
    scene.subscribe(late)
    assert late.take() == []
    await scene.feed.read()
    assert socket.take() == []
    assert names(late) == [["ada"]]


async def test_who_joins_in_the_middle_of_a_fan_out_gets_the_value_once(scene, monkeypatch):
    """The fan-out yields to the loop, and a socket that subscribes then has the newest value already."""
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    sockets = [await scene.joined() for _ in range(3)]
    for socket in sockets:
        socket.take()
    await scene.enter("ada")
    refreshing = scene.feed.read()
    step(refreshing)
    late = FakeSocket()
    scene.subscribe(late)
    finish(refreshing)
    assert [names(socket) for socket in (*sockets, late)] == [[["ada"]]] * 4


async def test_a_value_whose_version_was_lost_is_read_as_a_whole(monkeypatch):
    """Redis cannot return the changes since a version that it does not know, and members may have left since then."""
    scene = Scene(changes=True)
    socket = await scene.joined()
    await scene.enter("ada")
    await scene.feed.read()
    socket.take()
    [version] = await scene.presence.versions(["hall"])
    lost = True

    async def versions(_topics):
        return [0 if lost else version + 1]

    monkeypatch.setattr(scene.presence, "versions", versions)
    await scene.feed.read()
    assert names(socket) == [["ada"]]
    await scene.feed.read()
    assert names(socket) == []
    lost = False
    await scene.feed.read()
    assert names(socket) == [["ada"]]


async def test_a_cancelled_fan_out_is_made_good(scene, monkeypatch):
    """The sockets that it did not reach get the value from the next reading, and the others get nothing twice."""
    sockets = [await scene.joined() for _ in range(3)]
    for socket in sockets:
        socket.take()
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    await scene.enter("ada")
    reading = scene.feed.read()
    step(reading)
    reading.close()
    assert scene.feed.needs_read
    await scene.feed.read()
    assert [names(socket) for socket in sockets] == [[["ada"]]] * 3
