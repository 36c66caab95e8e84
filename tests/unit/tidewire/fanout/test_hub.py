"""The hub, with Channels' layer in memory: the process is one member of each group, whatever happens to the hub."""

import asyncio
import contextlib
import logging
from typing import Any
from uuid import UUID

import pytest
from channels.layers import InMemoryChannelLayer

from tests.unit.tidewire.fakes import FakeSocket, Hall, Said
from tidewire import metrics
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout.feed_loop import LINGER_SECONDS
from tidewire.fanout.groups import LAYER_SECONDS, REJOIN_SECONDS
from tidewire.fanout.hub import LONGEST_CHECK_SECONDS, Hub
from tidewire.fanout.positions import Positions
from tidewire.presence import PresenceKey
from tidewire.presence.witness import Witness
from tidewire.publishing.direct import publish_now
from tidewire.server.supervision import LONGEST_RESTART_SECONDS, supervise
from tidewire.testing import MemoryPresence, MemoryStreams
from tidewire.topics import START, Position, StreamTopic

TALK = StreamTopic("talk")
BEGINNING = Positions({TALK.name: START})
HALL = Hall("hall")
COALESCE_SECONDS = 0.2
CHECK_SECONDS = 1.0


class Layer(InMemoryChannelLayer):
    """Counts its calls, and fails if a test sets it to."""

    def __init__(self) -> None:
        super().__init__()
        self.joins: list[str] = []
        self.discards: list[str] = []
        self.channels_made = 0
        self.unavailable = False
        self.broken = False
        self.on_discard: Any = None

    async def new_channel(self, prefix: str = "specific.") -> str:
        self._reach()
        self.channels_made += 1
        return await super().new_channel(prefix)

    async def receive(self, channel: str) -> dict[str, Any]:
        message = await super().receive(channel)
        if self.broken:
            self.broken = False
            raise KeyError("a bug")
        return message

    async def group_add(self, group: str, channel: str) -> None:
        self._reach()
        self.joins.append(group)
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self._reach()
        self.discards.append(group)
        await super().group_discard(group, channel)
        if self.on_discard is not None:
            self.on_discard()
            await asyncio.sleep(0)

    def _reach(self) -> None:
        if self.unavailable:
            raise ConnectionRefusedError("the layer's Redis is unavailable")


class Presence(MemoryPresence):
    """Counts its reads, and may be unavailable."""

    def __init__(self) -> None:
        super().__init__(
            lease_seconds=1e9, grace_seconds=0.01, indexes={}, clock=lambda: asyncio.get_running_loop().time()
        )
        self.unavailable = False
        self.reads = 0
        self.broken = 0

    async def versions(self, topics):
        if self.unavailable:
            raise RedisUnavailable("unavailable")
        return await super().versions(topics)

    async def members(self, asked, *, names):
        self.reads += 1
        if self.broken:
            self.broken -= 1
            raise KeyError("a bug")
        return await super().members(asked, names=names)

    async def enter(self, *names: str) -> None:
        node = Witness("n")
        await self.touch(node)
        await self.put(node, [(PresenceKey("hall", "in", name), 1) for name in names])


class Scene:
    """A running hub with its layer and its stores."""

    def __init__(self) -> None:
        self.layer = Layer()
        self.presence = Presence()
        self.streams = MemoryStreams()
        self.stale: list[bool] = []
        self.hub = Hub(
            self.layer,
            self.presence,
            self.streams,
            prefix="p",
            coalesce_seconds=COALESCE_SECONDS,
            check_seconds=CHECK_SECONDS,
            on_stale=self.stale.append,
            on_reconnect=lambda: None,
        )
        self.number = 0
        self.tasks = [
            asyncio.ensure_future(supervise(name, run))
            for name, run in (("receiving", self.hub.run_receiving), ("checking", self.hub.run_checking))
        ]

    async def say(self, *, hint: bool = True) -> None:
        self.number += 1
        event = Said(id=UUID(int=self.number), text="hello")
        if hint:
            await publish_now(event, streams=self.streams, layer=self.layer, prefix="p")
        else:
            self.streams.append_now(event)

    async def enter(self, *names: str) -> None:
        """Add members and notify all hubs."""
        await self.presence.enter(*names)
        await self.layer.group_send("p.hall", {"type": "tidewire.hint", "topic": "hall"})

    async def listen(self, at: Position | None = START) -> FakeSocket:
        socket = FakeSocket()
        self.hub.subscribe(TALK, socket.connection, Positions({TALK.name: at} if at else {}))
        await pass_time(0.01)
        return socket

    async def watch(self) -> FakeSocket:
        socket = FakeSocket()
        self.hub.subscribe(HALL, socket.connection)
        await pass_time(COALESCE_SECONDS)
        return socket

    def members(self, topic: str) -> int:
        return len(self.layer.groups.get(f"p.{topic}", {}))


@pytest.fixture
async def scene():
    new_scene = Scene()
    await pass_time(0.01)
    yield new_scene
    for task in new_scene.tasks:
        task.cancel()
    await asyncio.gather(*new_scene.tasks, return_exceptions=True)
    await new_scene.hub.stop()


async def pass_time(seconds: float) -> None:
    """Advance the loop's clock, which takes no real time."""
    await asyncio.sleep(seconds)


def offsets(socket: FakeSocket) -> list[int]:
    return [event["offset"] for event in socket.take() if "offset" in event]


def names(socket: FakeSocket) -> list[list[str]]:
    return [event["names"] for event in socket.take()]


def restarts(task: str) -> float:
    return metrics.TASK_RESTARTS.labels(task)._value.get()


async def test_a_hundred_connections_are_one_member_of_each_group(scene):
    """The layer sees a process and a topic, not the sockets."""
    sockets = [FakeSocket() for _ in range(100)]
    for socket in sockets:
        scene.hub.subscribe(TALK, socket.connection, BEGINNING)
        scene.hub.subscribe(HALL, socket.connection)
    await pass_time(1)
    assert (scene.members("talk"), scene.members("hall")) == (1, 1)
    assert sorted(scene.layer.joins) == ["p.hall", "p.talk"]
    await scene.say()
    await pass_time(0.01)
    assert all(socket.events[-1]["offset"] == 1 for socket in sockets)


async def test_a_topic_is_joined_before_it_is_read(scene):
    """Changes between joining and reading are received as hints, so that none is missed."""
    order: list[str] = []
    scene.layer.group_add = _noting(order, "join", scene.layer.group_add)
    scene.presence.versions = _noting(order, "read", scene.presence.versions)
    await scene.watch()
    assert order[:2] == ["join", "read"]


async def test_an_event_reaches_a_socket_at_once(scene):
    """A hint is delivered without waiting for a timer."""
    socket = await scene.listen()
    await scene.say()
    await pass_time(0.0001)
    assert offsets(socket) == [1]


async def test_a_lost_hint_is_healed_by_the_check(scene):
    """Positions are compared every second."""
    talk, hall = await scene.listen(), await scene.watch()
    hall.take()
    await scene.say(hint=False)
    await scene.presence.enter("ada")
    assert offsets(talk) == []
    await pass_time(CHECK_SECONDS + COALESCE_SECONDS)
    assert offsets(talk) == [1]
    assert names(hall) == [["ada"]]


async def test_hints_for_topics_that_nobody_follows_are_ignored(scene):
    """A hint may arrive after the last subscriber has left."""
    scene.hub._on_hint({"type": "tidewire.hint", "topic": "nowhere"})


async def test_a_storm_of_changes_is_read_a_few_times_a_second(scene):
    """A thousand changes in five seconds cause about 25 readings and broadcasts, including the last value."""
    socket = await scene.watch()
    socket.take()
    scene.presence.reads = 0
    for number in range(1000):
        await scene.enter(f"user{number}")
        await pass_time(0.005)
    await pass_time(COALESCE_SECONDS * 2)
    events = socket.take()
    assert 20 <= len(events) <= 30
    assert scene.presence.reads <= 30
    assert len(events[-1]["names"]) == 1000


async def test_a_single_change_is_not_delayed(scene):
    """After a quiet time the first change is sent at once."""
    socket = await scene.watch()
    socket.take()
    await pass_time(1)
    await scene.enter("ada")
    await pass_time(0.0001)
    assert names(socket) == [["ada"]]


async def test_the_first_reading_waits_for_who_caused_it(scene):
    """A page that opens a topic counts itself, because its presence is stored before the topic is first read."""
    socket = FakeSocket()
    scene.hub.subscribe(HALL, socket.connection)
    await pass_time(0.02)
    await scene.presence.enter("ada")
    await pass_time(0.1)
    assert names(socket) == [["ada"]]


async def test_a_change_announced_in_this_process_needs_no_hint(scene):
    """The hub is notified directly of changes by its own node."""
    socket = await scene.watch()
    socket.take()
    await scene.presence.enter("ada")
    scene.hub.refresh({"hall", "talk", "nowhere"})
    await pass_time(COALESCE_SECONDS)
    assert names(socket) == [["ada"]]


async def test_an_empty_topic_is_left_after_a_while(scene):
    """Groups of documents that were once opened must not accumulate."""
    socket = await scene.listen()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    await pass_time(LINGER_SECONDS / 2)
    assert scene.members("talk") == 1
    await pass_time(LINGER_SECONDS)
    assert scene.members("talk") == 0
    assert scene.layer.discards == ["p.talk"]
    assert "talk" not in scene.hub._loops
    again = await scene.listen()
    await scene.say()
    await pass_time(0.01)
    assert offsets(again) == [1]


async def test_a_reload_finds_the_topic_still_joined(scene):
    """A page that reloads before the topic is left does not cause a call to the layer."""
    socket = await scene.listen()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    await pass_time(LINGER_SECONDS / 2)
    await scene.listen()
    await pass_time(LINGER_SECONDS * 2)
    assert scene.layer.joins == ["p.talk"]
    assert scene.layer.discards == []


async def test_who_comes_while_a_topic_is_left_misses_nothing(scene):
    """The group is joined again, and events that were published in between are read."""
    socket = await scene.listen()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    late = FakeSocket()

    def comes() -> None:
        scene.layer.on_discard = None
        scene.hub.subscribe(TALK, late.connection, BEGINNING)
        scene.streams.append_now(Said(id=UUID(int=77), text="in between"))

    scene.layer.on_discard = comes
    await pass_time(LINGER_SECONDS * 2)
    assert scene.members("talk") == 1
    assert offsets(late) == [1]
    scene.number = 100
    await scene.say()
    await pass_time(0.01)
    assert offsets(late) == [2]


async def test_a_topic_that_could_not_be_left_is_left_later(scene):
    """The layer was unavailable, and the group is not forgotten."""
    socket = await scene.listen()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    await pass_time(LINGER_SECONDS - 1)
    scene.layer.unavailable = True
    await pass_time(5)
    assert scene.members("talk") == 1
    scene.layer.unavailable = False
    await pass_time(3)
    assert scene.members("talk") == 0


async def test_who_comes_while_a_leave_fails_gets_hints_at_once(scene, monkeypatch):
    """The layer may have left the group before the error, so the group is joined again."""
    socket = await scene.listen()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    late = FakeSocket()
    leave = scene.layer.group_discard

    async def leaves_and_fails(group: str, channel: str) -> None:
        await leave(group, channel)
        scene.hub.subscribe(TALK, late.connection, BEGINNING)
        raise TimeoutError

    monkeypatch.setattr(scene.layer, "group_discard", leaves_and_fails)
    while late.connection not in scene.hub._subscriptions:
        await pass_time(0.1)
    await pass_time(0.01)
    assert scene.members("talk") == 1
    await scene.say()
    await pass_time(0.01)
    assert offsets(late) == [1]


async def test_who_comes_while_a_leave_breaks_is_served_at_once(scene, monkeypatch):
    """A bug of the layer is logged."""
    socket = await scene.watch()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    late = FakeSocket()

    async def breaks(_group: str, _channel: str) -> None:
        scene.hub.subscribe(HALL, late.connection)
        await scene.presence.enter("ada")
        raise KeyError("a bug")

    monkeypatch.setattr(scene.layer, "group_discard", breaks)
    while late.connection not in scene.hub._subscriptions:
        await pass_time(0.1)
    await pass_time(COALESCE_SECONDS)
    assert names(late) == [[], ["ada"]]


async def test_an_empty_topic_is_left_though_it_cannot_be_read(scene):
    """A topic without subscriptions has no work, so its failure cannot keep it."""
    socket = await scene.watch()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    scene.presence.broken = 10**9
    await scene.enter("ada")
    await pass_time(LINGER_SECONDS * 2)
    assert scene.members("hall") == 0
    assert "hall" not in scene.hub._loops


async def test_an_empty_topic_is_left_though_it_changes_all_the_time(scene):
    """Otherwise the reads of a busy topic would never end."""
    socket = await scene.watch()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    for number in range(int(LINGER_SECONDS * 2 / COALESCE_SECONDS * 2)):
        await scene.enter(f"user {number}")
        await pass_time(COALESCE_SECONDS / 2)
    assert scene.members("hall") == 0


async def test_who_comes_back_late_gets_the_newest_value_at_once(scene):
    """A change of a topic that no connection follows any more is read for the next subscription."""
    socket = await scene.watch()
    scene.hub.unsubscribe(scene.hub._subscriptions[socket.connection][0])
    scene.layer.unavailable = True
    await pass_time(LINGER_SECONDS + 2)
    await scene.enter("ada")
    await pass_time(2 * COALESCE_SECONDS)
    scene.layer.unavailable = False
    late = await scene.watch()
    await pass_time(COALESCE_SECONDS)
    assert names(late)[-1] == ["ada"]


async def test_leaving_twice_counts_once(scene):
    """A subscription can end only once."""
    gauge = metrics.SUBSCRIPTIONS.labels("talk")._value
    before = gauge.get()
    socket = await scene.listen()
    [subscription] = scene.hub._subscriptions[socket.connection]
    scene.hub.unsubscribe(subscription)
    scene.hub.unsubscribe(subscription)
    assert gauge.get() == before


async def test_a_malformed_hint_costs_only_that_hint(scene, caplog):
    """The receiver continues with the next hint, and the check finds the missed event."""
    talk = await scene.listen()
    before, dropped = restarts("receiving"), metrics.DROPPED.labels("hint")._value.get()
    await scene.layer.group_send("p.talk", {"type": "tidewire.hint", "topic": "talk", "epoch": "no offset"})
    await scene.say()
    await pass_time(0.01)
    assert offsets(talk) == [1]
    assert "a hint was refused: topic 'talk': offset: Field required" in caplog.text
    assert metrics.DROPPED.labels("hint")._value.get() == dropped + 1
    assert restarts("receiving") == before


async def test_a_hint_without_events_lets_a_stream_be_read(scene):
    """The publisher may leave the events out."""
    talk = await scene.listen()
    await scene.say(hint=False)
    await scene.layer.group_send("p.talk", {"type": "tidewire.hint", "topic": "talk"})
    await pass_time(0.01)
    assert offsets(talk) == [1]


async def test_a_receiving_loop_that_dies_is_restarted_counted_and_its_clients_resynchronised(scene, caplog):
    """After any error, missed events are read and later hints received."""
    talk, hall = await scene.listen(), await scene.watch()
    hall.take()
    before = restarts("receiving")
    with caplog.at_level(logging.CRITICAL):
        scene.layer.broken = True
        await scene.layer.group_send("p.talk", {"type": "tidewire.hint", "topic": "talk"})
        await pass_time(0.01)
        scene.layer.groups.clear()
        await scene.say()
        await scene.presence.enter("ada")
        await pass_time(CHECK_SECONDS)
    assert restarts("receiving") == before + 1
    assert offsets(talk) == [1]
    assert names(hall) == [["ada"]]
    await scene.say()
    await pass_time(0.01)
    assert offsets(talk) == [2]
    assert scene.layer.channels_made == 1, "a channel that is left behind would be filled for ever"
    assert (scene.members("talk"), scene.members("hall")) == (1, 1)


async def test_a_bug_in_a_topic_is_counted_and_its_feed_starts_over(scene, caplog):
    """An unexpected error in one topic may delay that topic by a second, and other topics not at all."""
    hall, talk = await scene.watch(), await scene.listen()
    hall.take()
    before = restarts("delivery")
    scene.presence.broken = 1
    with caplog.at_level(logging.CRITICAL):
        await scene.enter("ada")
        await pass_time(COALESCE_SECONDS)
    assert names(hall) == []
    assert restarts("delivery") == before + 1
    await scene.say()
    await pass_time(0.01)
    assert offsets(talk) == [1]
    await pass_time(CHECK_SECONDS + COALESCE_SECONDS)
    assert names(hall) == [["ada"]]


async def test_who_came_before_the_layer_was_reached_is_served_once_it_is(scene):
    """A process may start while Redis is unavailable."""
    late = Scene()
    late.layer.unavailable = True
    socket = FakeSocket()
    late.hub.subscribe(TALK, socket.connection, BEGINNING)
    await pass_time(5)
    assert socket.take() == []
    late.layer.unavailable = False
    await pass_time(LONGEST_RESTART_SECONDS + CHECK_SECONDS)
    await late.say()
    await pass_time(0.01)
    assert offsets(socket) == [1]
    for task in late.tasks:
        task.cancel()
    await asyncio.gather(*late.tasks, return_exceptions=True)
    await late.hub.stop()


async def test_an_outage_is_told_and_its_end_too(scene):
    """A single failure may be transient; two in a row are an outage."""
    await scene.watch()
    scene.presence.unavailable = True
    await pass_time(CHECK_SECONDS)
    assert scene.stale == []
    await pass_time(CHECK_SECONDS)
    assert scene.stale == [True]
    assert scene.hub.stale
    await pass_time(10)
    assert scene.stale == [True]
    scene.presence.unavailable = False
    await pass_time(LONGEST_CHECK_SECONDS)
    assert scene.stale == [True, False]
    assert not scene.hub.stale


async def test_while_redis_is_away_it_is_asked_less_often(scene, monkeypatch):
    """After Redis has returned, the check runs every second again."""
    await scene.watch()
    asked: list[float] = []
    check = scene.hub._check

    async def noted() -> None:
        asked.append(asyncio.get_running_loop().time())
        await check()

    monkeypatch.setattr(scene.hub, "_check", noted)
    scene.presence.unavailable = True
    await pass_time(60)
    assert 60 / LONGEST_CHECK_SECONDS <= len(asked) <= 60 / (LONGEST_CHECK_SECONDS / 2) + 2
    scene.presence.unavailable = False
    await pass_time(LONGEST_CHECK_SECONDS)
    asked.clear()
    await pass_time(10)
    assert 9 <= len(asked) <= 11


async def test_a_layer_that_stands_still_holds_up_nobody_for_long(scene):
    """A call that is never answered must time out, so that the next one can reach a working layer."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    group_add, scene.layer.group_add = scene.layer.group_add, never
    socket = await scene.listen()
    scene.layer.group_add = group_add
    await pass_time(LAYER_SECONDS + CHECK_SECONDS)
    assert scene.members("talk") == 1
    await scene.say()
    await pass_time(0.01)
    assert offsets(socket) == [1]


async def test_after_an_outage_everybody_has_what_they_missed(scene):
    """The first check after an outage delivers everything that was published and changed during it."""
    talk, hall = await scene.listen(), await scene.watch()
    hall.take()
    scene.presence.unavailable = scene.streams.unavailable = True
    await pass_time(3)
    scene.streams.append_now(Said(id=UUID(int=5), text="meanwhile"))
    await scene.presence.enter("ada")
    await pass_time(3)
    assert (offsets(talk), names(hall)) == ([], [])
    scene.presence.unavailable = scene.streams.unavailable = False
    await pass_time(LONGEST_CHECK_SECONDS + COALESCE_SECONDS)
    assert offsets(talk) == [1]
    assert names(hall) == [["ada"]]


async def test_groups_are_joined_again_before_a_layer_forgets_them(scene):
    """Channels' layers drop members after a day."""
    await scene.listen()
    await pass_time(REJOIN_SECONDS + 5)
    assert scene.layer.joins == ["p.talk", "p.talk"]


async def test_nothing_is_delivered_after_the_stop(scene):
    """A stopped hub has no work and accepts none."""
    socket = await scene.watch()
    socket.take()
    await scene.presence.enter("ada")
    scene.hub.refresh({"hall"})
    await scene.hub.stop()
    scene.hub.refresh({"hall"})
    await pass_time(0.5)
    assert names(socket) == []
    assert all(not loop.is_running for loop in scene.hub._loops.values())


async def test_a_hub_needs_nothing_of_a_layer_but_the_five_calls_of_channels(scene):
    """The hub works with any layer."""
    used = {"new_channel", "receive", "group_add", "group_discard"}
    layer = type("Layer", (), {name: getattr(scene.layer, name) for name in used})()
    hub = Hub(
        layer,
        scene.presence,
        scene.streams,
        prefix="q",
        coalesce_seconds=0.2,
        check_seconds=1.0,
        on_stale=lambda _stale: None,
        on_reconnect=lambda: None,
    )
    receiving = asyncio.ensure_future(hub.run_receiving())
    socket = FakeSocket()
    hub.subscribe(TALK, socket.connection, BEGINNING)
    await pass_time(0.01)
    await publish_now(Said(id=UUID(int=1), text="x"), streams=scene.streams, layer=scene.layer, prefix="q")
    await pass_time(0.01)
    assert offsets(socket) == [1]
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiving
    await hub.stop()


def _noting(order: list[str], word: str, function: Any) -> Any:
    async def noted(*arguments: Any) -> Any:
        order.append(word)
        return await function(*arguments)

    return noted


async def test_a_name_is_a_state_topic_s_or_a_stream_topic_s(scene):
    """Otherwise one of the two would be served by the other's feed."""
    await scene.watch()
    with pytest.raises(ValueError, match="'hall' is a state topic and a stream topic"):
        scene.hub.subscribe(StreamTopic("hall"), FakeSocket().connection)


async def test_a_closed_socket_that_cannot_subscribe_leaves_nothing(scene):
    """Its end came before, so nothing else would remove it."""
    await scene.watch()
    socket = FakeSocket()
    socket.connection.end(1006)
    with pytest.raises(ValueError, match="'hall'"):
        scene.hub.subscribe(StreamTopic("hall"), socket.connection)
    assert socket.connection not in scene.hub._subscriptions


@pytest.mark.parametrize("started", [False, True])
async def test_a_feed_whose_task_was_cancelled_goes_on(scene, started):
    """The next check lets it do its work."""
    socket = FakeSocket()
    scene.hub.subscribe(HALL, socket.connection)
    if started:
        await pass_time(0.001)
    scene.hub._loops["hall"].task.cancel()
    await pass_time(CHECK_SECONDS + COALESCE_SECONDS)
    assert names(socket) == [[]]
