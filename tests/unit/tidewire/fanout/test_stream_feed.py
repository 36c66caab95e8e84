"""Each subscription receives every event of a stream topic in order and once, or its client must reload."""

import itertools
from uuid import UUID

import pytest

from tests.unit.tidewire.fakes import FakeSocket, Said, finish, place, step
from tidewire.fanout import delivery, recent_events, stream_feed
from tidewire.fanout.recent_events import HISTORY_CACHE_SECONDS, RECENT_EVENTS, RESUME_EVENTS
from tidewire.fanout.stream_feed import StreamFeed
from tidewire.fanout.subscription import Subscription
from tidewire.testing import MemoryStreams
from tidewire.topics import START, Position, StreamTopic

TOPIC = StreamTopic("talk")
# Position, mark of the previous event, body.
Hint = tuple[Position, str, str]


class Talk:
    """A topic with a feed: events are appended to the stream and, unless their hint is lost, sent to the feed."""

    def __init__(self, *, length: int = 1000) -> None:
        self.streams = MemoryStreams(length=length)
        self.feed = StreamFeed(TOPIC, self.streams)
        self._numbers = itertools.count(1)

    def publish(self, count: int = 1, *, hinted: bool = True) -> list[Hint]:
        hints = []
        for _ in range(count):
            number = next(self._numbers)
            event = Said(id=UUID(int=number), text=f"word {number}")
            appended = self.streams.append_now(event)
            hints.append((appended.position, appended.after, event.encode()))
        if hinted:
            self.hint(*hints)
        return hints

    def hint(self, *hints: Hint) -> None:
        for hint in hints:
            self.feed.on_hint(*hint, 0.0)

    async def run(self) -> None:
        """Do the work of the hub while the feed has some."""
        while self.feed.needs_read or self.feed.needs_delivery:
            await self.feed.deliver()
            if self.feed.needs_read:
                await self.feed.read()

    async def check(self) -> None:
        """Do the check that the hub does every second."""
        if self.feed.is_behind(self.streams.end("talk")):
            self.feed.request_read()
        await self.run()

    def subscribe(self, socket: FakeSocket, at: Position | None = None) -> Subscription:
        subscription = self.feed.add(socket.connection, at)
        self.feed.catch_up(subscription)
        return subscription

    async def joined(self, at: Position | None = None) -> FakeSocket:
        """Return a socket that is subscribed and up to date."""
        socket = FakeSocket()
        self.subscribe(socket, at)
        await self.run()
        return socket

    async def joined_after(self, count: int) -> FakeSocket:
        """Return a socket that has received this number of events."""
        socket = await self.joined(START)
        self.publish(count)
        await self.run()
        socket.take()
        return socket


@pytest.fixture
def talk() -> Talk:
    return Talk()


def resumed(at: object, *, recovered: bool = True) -> dict[str, object]:
    return {"type": "resumed", "topic": "talk", "recovered": recovered, "at": str(at)}


def words(socket: FakeSocket) -> list[int]:
    """Return the offsets of the received events, which in these tests are also the numbers in their texts."""
    events = [event for event in socket.take() if event["type"] == "test.said"]
    assert all(event["text"] == f"word {event['offset']}" for event in events)
    return [event["offset"] for event in events]


async def test_a_socket_without_a_position_starts_at_the_end(talk):
    """A socket without a position receives its current position, and then only new events."""
    talk.publish(3)
    socket = await talk.joined()
    assert socket.take() == [resumed(place(3))]
    talk.publish()
    await talk.run()
    assert words(socket) == [4]


async def test_the_offset_is_part_of_the_event(talk):
    """The socket receives the published event with its offset and its mark."""
    socket = await talk.joined(START)
    talk.publish()
    await talk.run()
    assert socket.take()[-1] == {
        "type": "test.said",
        "topic": "talk",
        "id": str(UUID(int=1)),
        "offset": 1,
        "mark": place(1).mark,
        "text": "word 1",
    }


async def test_a_socket_gets_what_it_missed_once_and_in_order(talk):
    """A position in the middle is resumed with all later events."""
    await talk.joined()
    talk.publish(5)
    await talk.run()
    socket = await talk.joined(place(2))
    assert socket.events[0] == resumed(place(2))
    assert words(socket) == [3, 4, 5]


async def test_a_resume_from_memory_asks_redis_nothing(talk):
    """Missed events are delivered without a read while the feed remembers them."""
    await talk.joined(START)
    talk.publish(5)
    await talk.run()
    talk.streams.unavailable = True
    socket = FakeSocket()
    talk.subscribe(socket, place(2))
    assert not talk.feed.needs_read
    assert words(socket) == [3, 4, 5]


async def test_a_resume_beyond_memory_is_read_once_for_all(talk):
    """For two sockets that missed more than the feed remembers, the history is read once."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 50):
        talk.publish()
        await talk.run()
    sockets = [FakeSocket(), FakeSocket()]
    for socket, offset in zip(sockets, (3, 20), strict=True):
        talk.subscribe(socket, place(offset))
    talk.streams.reads = 0
    await talk.run()
    assert talk.streams.reads == 1
    assert words(sockets[0]) == list(range(4, RECENT_EVENTS + 51))
    assert words(sockets[1]) == list(range(21, RECENT_EVENTS + 51))


async def test_a_position_at_the_end_is_resumed_with_nothing(talk):
    """A page that was rendered after the last event has missed nothing."""
    talk.publish(2)
    socket = await talk.joined(place(2))
    assert socket.take() == [resumed(place(2))]


async def test_a_position_ahead_of_the_feed_is_looked_up(talk):
    """A client may have an event before the node receives its hint; it must be resumed instead of reloading."""
    await talk.joined()
    [late] = talk.publish(hinted=False)
    socket = await talk.joined(place(1))
    assert socket.take() == [resumed(place(1))]
    talk.hint(late)
    talk.publish()
    await talk.run()
    assert words(socket) == [2]


async def test_a_position_after_the_end_is_lost(talk):
    """A client with events that Redis does not have must reload."""
    talk.publish(2)
    socket = await talk.joined(place(7))
    assert socket.take() == [resumed(place(2), recovered=False)]


async def test_a_position_of_another_epoch_is_lost(talk):
    """Offsets of an earlier epoch are invalid."""
    talk.publish(2)
    socket = await talk.joined(Position("bad", 1))
    assert socket.take() == [resumed(place(2), recovered=False)]


async def test_a_position_in_an_epoch_that_the_feed_has_not_noticed_is_resumed(talk):
    """Redis lost its data before the page was rendered: the socket's position is valid, and the feed must catch up."""
    old = await talk.joined()
    talk.publish(3)
    await talk.run()
    old.take()
    talk.streams.flush()
    talk.publish(2, hinted=False)
    end = talk.streams.end("talk")
    socket = await talk.joined(end)
    assert socket.take() == [resumed(end)]
    assert old.take() == [resumed(end, recovered=False)]


async def test_a_position_too_far_back_is_lost(talk):
    """A client that missed more than the limit of a replay must reload."""
    talk = Talk(length=10 * RESUME_EVENTS)
    talk.publish(RESUME_EVENTS + 1)
    socket = await talk.joined(place(0))
    assert socket.take() == [resumed(place(RESUME_EVENTS + 1), recovered=False)]
    socket = await talk.joined(place(1))
    assert words(socket) == list(range(2, RESUME_EVENTS + 2))


async def test_one_lost_client_does_not_lose_the_others(talk):
    """A client that is far behind must reload, and the same refresh must serve the others."""
    talk = Talk(length=10 * RESUME_EVENTS)
    talk.publish(RESUME_EVENTS + 500)
    far, near = FakeSocket(), FakeSocket()
    talk.subscribe(far, place(0))
    talk.subscribe(near, place(RESUME_EVENTS + 400))
    await talk.run()
    assert far.take() == [resumed(place(RESUME_EVENTS + 500), recovered=False)]
    assert words(near) == list(range(RESUME_EVENTS + 401, RESUME_EVENTS + 501))


async def test_who_has_seen_nothing_gets_the_first_events(talk):
    """A page of an empty topic has the position START, and receives the epoch with the first event."""
    socket = await talk.joined(START)
    assert socket.take() == [resumed("0:0")]
    talk.publish()
    await talk.run()
    events = socket.take()
    assert events[0] == resumed(place(0))
    assert [event["offset"] for event in events[1:]] == [1]


async def test_nothing_is_resumed_from_the_beginning(talk):
    """A page that was rendered before the first event receives that event, even if it connects late."""
    talk.publish(3)
    socket = await talk.joined(START)
    assert socket.events[0] == resumed(place(0))
    assert words(socket) == [1, 2, 3]


async def test_a_repeated_hint_is_harmless(talk):
    """A repeated hint does not deliver its event again, and causes no read."""
    socket = await talk.joined(START)
    hints = talk.publish(2)
    await talk.run()
    talk.hint(*hints)
    assert not talk.feed.needs_read
    assert words(socket) == [1, 2]


async def test_a_gap_is_read_and_delivered_in_order(talk):
    """The next hint reveals a lost one."""
    socket = await talk.joined(START)
    talk.publish()
    await talk.run()
    talk.publish(2, hinted=False)
    talk.publish()
    await talk.run()
    assert words(socket) == [1, 2, 3, 4]


async def test_a_stream_that_is_ahead_is_read(talk):
    """A lost hint without a successor is found by comparing positions."""
    sockets = [await talk.joined(START), await talk.joined(START)]
    talk.publish(3, hinted=False)
    talk.streams.reads = 0
    await talk.check()
    assert [words(socket) for socket in sockets] == [[1, 2, 3], [1, 2, 3]]
    assert talk.streams.reads == 1


async def test_events_heard_together_go_out_in_one_write(talk):
    """A burst costs each socket one write."""
    socket = await talk.joined()
    talk.publish()
    await talk.run()
    socket.take()
    talk.publish(10)
    await talk.run()
    assert [len(write) for write in socket.writer.writes] == [10]
    assert words(socket) == list(range(2, 12))


async def test_more_events_than_are_remembered_may_wait(talk):
    """A burst that is longer than the memory loses no event, even for a socket that was behind."""
    socket, slow = await talk.joined(START), await talk.joined(START)
    talk.publish()
    await talk.run()
    slow.writer.full = True
    talk.publish()
    await talk.run()
    talk.publish(RECENT_EVENTS + 100)
    slow.drain()
    await talk.run()
    expected = list(range(1, RECENT_EVENTS + 103))
    assert words(socket) == expected
    assert words(slow) == expected
    assert len(talk.feed._recent) <= RECENT_EVENTS


async def test_memory_stays_bounded_over_many_reads(talk):
    """Events of a read are dropped once all sockets that needed them have received them."""
    talk.publish(900)
    for offset in range(0, 800, 50):
        await talk.joined(place(offset))
        talk.publish(20)
        await talk.run()
        assert len(talk.feed._recent) <= RESUME_EVENTS
    talk.feed._recent._read_at -= HISTORY_CACHE_SECONDS
    talk.feed.trim()
    assert len(talk.feed._recent) == RECENT_EVENTS


async def test_memory_stays_bounded_in_bytes(talk, monkeypatch):
    """If events are large, fewer are remembered, and older ones are read from Redis."""
    monkeypatch.setattr(recent_events, "RECENT_BYTES", 1000)
    socket = await talk.joined()
    for _ in range(100):
        talk.publish()
        await talk.run()
    assert sum(len(recent.wire) for *_, recent in talk.feed._recent) == talk.feed._recent.size <= 1000
    assert words(socket) == list(range(1, 101))
    assert words(await talk.joined(place(50))) == list(range(51, 101))


async def test_a_resume_stops_where_the_socket_is_full_and_goes_on_when_it_has_room(talk, monkeypatch):
    """A socket must never receive a thousand events in one write, but must receive all of them once."""
    monkeypatch.setattr(recent_events, "PORTION_BYTES", 1000)
    talk.publish(1000)
    socket = FakeSocket()
    socket.writer.accepts = 4
    subscription = talk.subscribe(socket, START)
    await talk.run()
    assert 0 < sum(len(sent.wire) for sent in socket.writer.frames) < 4 * 1000 + 200
    seen = words(socket)
    while len(seen) < 1000:
        socket.drain()
        socket.writer.accepts = 4
        assert talk.feed.catch_up(subscription)
        assert len(socket.writer.frames) < 50
        seen += words(socket)
    assert seen == list(range(1, 1001))
    assert talk.streams.reads == 1


async def test_a_socket_that_is_full_is_told_where_it_stands_when_it_has_room(talk):
    """The socket must receive its position before its first event, and no event of the meantime may be skipped."""
    talk.publish(3)
    await talk.check()
    socket = FakeSocket()
    socket.writer.full = True
    subscription = talk.subscribe(socket)
    await talk.run()
    assert socket.take() == []
    talk.publish()
    await talk.run()
    socket.drain()
    assert talk.feed.catch_up(subscription)
    first, second = socket.take()
    assert first == resumed(place(3))
    assert second["offset"] == 4


async def test_a_full_socket_is_skipped_and_settled_later(talk):
    """A slow reader causes no work while it is full, and then receives all missed events once."""
    socket, other = FakeSocket(), await talk.joined(START)
    subscription = talk.subscribe(socket, START)
    talk.publish()
    await talk.run()
    socket.take()
    socket.writer.full = True
    for _ in range(3):
        talk.publish()
        await talk.run()
    assert socket.take() == []
    assert socket.became_full == 1
    socket.drain()
    assert talk.feed.catch_up(subscription)
    assert words(socket) == [2, 3, 4]
    assert words(other) == [1, 2, 3, 4]


async def test_a_socket_that_was_full_for_too_long_is_lost(talk, monkeypatch):
    """If the history no longer has the events that a slow reader missed, its client must reload."""
    monkeypatch.setattr(recent_events, "HISTORY_CACHE_SECONDS", 0.0)
    socket = FakeSocket()
    subscription = talk.subscribe(socket, START)
    talk.publish()
    await talk.run()
    socket.take()
    socket.writer.full = True
    for _ in range(RECENT_EVENTS + 2):
        talk.publish()
        await talk.run()
    talk.streams.lose_history("talk", keep=10)
    socket.drain()
    assert not talk.feed.catch_up(subscription)
    talk.feed.request_read()
    await talk.run()
    assert socket.take() == [resumed(place(RECENT_EVENTS + 3), recovered=False)]


async def test_a_broken_socket_keeps_nothing_from_the_others(talk):
    """An error of one socket does not affect others."""
    broken, other = await talk.joined(START), await talk.joined(START)
    broken.writer.broken = True
    talk.publish()
    await talk.run()
    assert words(other) == [1]


async def test_a_stalled_socket_does_not_cost_the_others_their_resume(talk):
    """Events for a full socket far behind are not read, and do not displace those for other sockets."""
    talk = Talk(length=10 * RESUME_EVENTS)
    stalled = await talk.joined(START)
    stalled.writer.full = True
    for _ in range(3):
        talk.publish(RESUME_EVENTS)
        await talk.run()
    near = await talk.joined(place(3 * RESUME_EVENTS - 500))
    assert words(near) == list(range(3 * RESUME_EVENTS - 499, 3 * RESUME_EVENTS + 1))


async def test_an_epoch_change_tells_everybody_to_reload(talk):
    """A Redis that lost its data begins a new epoch, and no client can determine the events that it missed."""
    sockets = [await talk.joined(START), await talk.joined()]
    talk.publish(2)
    await talk.run()
    for socket in sockets:
        socket.take()
    talk.streams.flush()
    talk.publish(hinted=False)
    await talk.check()
    end = talk.streams.end("talk")
    assert [socket.take() for socket in sockets] == [[resumed(end, recovered=False)]] * 2
    talk.publish()
    await talk.run()
    assert [[event["offset"] for event in socket.take()] for socket in sockets] == [[2], [2]]


async def test_lost_events_whose_offsets_were_given_to_others_tell_everybody_to_reload(talk):
    """A lagging replica has become the primary, and already has more events than the feed has received."""
    socket = await talk.joined_after(5)
    talk.streams.roll_back("talk", 2)
    talk.publish(4, hinted=False)
    await talk.check()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_an_offset_that_is_given_a_second_time_is_no_repeat(talk):
    """The hint alone reveals the loss, before any check."""
    socket = await talk.joined_after(5)
    talk.streams.roll_back("talk", 1)
    talk.publish(1)
    await talk.run()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_the_next_offset_after_a_loss_is_not_the_next_event(talk):
    """The hint has the expected offset, but another previous event."""
    socket = await talk.joined_after(5)
    talk.streams.roll_back("talk", 1)
    talk.publish(1, hinted=False)
    talk.publish(1)
    await talk.run()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_a_position_in_lost_events_is_never_resumed(talk):
    """The position belongs to events that Redis has replaced by others since, although no node has noticed."""
    talk.publish(5, hinted=False)
    seen = talk.streams.end("talk")
    talk.streams.roll_back("talk", 2)
    talk.publish(4, hinted=False)
    socket = await talk.joined(seen)
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_the_same_events_published_again_are_resumed(talk):
    """A rollback loses nothing if the relay publishes the same events again in the same order."""
    socket = await talk.joined_after(5)
    seen = talk.streams.end("talk")
    talk.streams.roll_back("talk", 2)
    for number in (4, 5):
        talk.streams.append_now(Said(id=UUID(int=number), text=f"word {number}"))
    talk.publish(hinted=False)
    await talk.check()
    assert words(socket) == [6]
    assert words(await talk.joined(seen)) == [6]


async def test_a_position_without_a_mark_is_not_resumed(talk):
    """Without a mark the earlier events are unknown."""
    talk.publish(3)
    socket = await talk.joined(Position("e1", 2))
    assert socket.take() == [resumed(place(3), recovered=False)]


async def test_an_emptied_redis_is_noticed_before_anything_is_said(talk):
    """After a flush the topic has no epoch. All sockets must receive the new epoch from its first event on."""
    socket = await talk.joined_after(2)
    talk.streams.flush()
    await talk.check()
    assert socket.take() == [resumed("0:0", recovered=False)]
    talk.publish(hinted=False)
    await talk.check()
    assert [event.get("at", event.get("offset")) for event in socket.take()] == ["e2:0", 1]


async def test_a_hole_in_the_history_tells_everybody_to_reload(talk):
    """Events that the history no longer has cannot be delivered later."""
    socket = await talk.joined_after(1)
    talk.publish(5, hinted=False)
    talk.streams.lose_history("talk", keep=2)
    await talk.check()
    assert socket.take() == [resumed(place(6), recovered=False)]


async def test_a_history_that_is_gone_tells_everybody_to_reload(talk):
    """Events that were lost with the whole history must neither be ignored nor requested repeatedly."""
    socket = await talk.joined_after(1)
    talk.publish(2, hinted=False)
    talk.streams.lose_history("talk")
    await talk.check()
    assert socket.take() == [resumed(place(3), recovered=False)]
    assert not talk.feed.is_behind(talk.streams.end("talk"))


async def test_a_lost_history_hurts_nobody_who_missed_nothing(talk):
    """A socket that is up to date does not need the history."""
    socket = await talk.joined(START)
    talk.publish(2)
    await talk.run()
    talk.streams.lose_history("talk")
    assert (await talk.joined(place(1))).take()[0] == resumed(place(1))
    talk.publish()
    await talk.run()
    assert words(socket) == [1, 2, 3]


async def test_events_heard_while_redis_is_asked_are_no_loss(talk):
    """The reply of Redis is older than the events received meanwhile, so it does not mean that the stream went back."""
    socket = await talk.joined(START)
    talk.publish()
    await talk.run()
    acts = iter([lambda: None, lambda: talk.publish(2)])

    async def asked() -> None:
        next(acts, lambda: None)()

    talk.streams.asked = asked
    talk.feed.request_read()
    await talk.run()
    assert words(socket) == [1, 2, 3]


async def test_events_heard_during_a_read_leave_no_hole(talk):
    """Events that the feed drops while it reads older ones must not be missing afterwards."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 10):
        talk.publish()
        await talk.run()
    answers = iter([lambda: None] * 3 + [lambda: talk.publish(5)])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    socket = await talk.joined(place(4))
    assert words(socket) == list(range(5, RECENT_EVENTS + 16))


async def test_who_comes_during_a_read_is_served_by_the_next(talk):
    """A read that began before a socket subscribed does not contain the events that the socket missed."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 10):
        talk.publish()
        await talk.run()
    late = FakeSocket()
    answers = iter([lambda: None] * 3 + [lambda: talk.subscribe(late, place(1))])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    early = await talk.joined(place(5))
    assert words(early) == list(range(6, RECENT_EVENTS + 11))
    assert late.events[0] == resumed(place(1))
    assert words(late) == list(range(2, RECENT_EVENTS + 11))


async def test_who_comes_while_redis_is_asked_is_not_judged_by_its_answer(talk):
    """A page may be rendered and its socket connect after Redis has replied but before the node receives the reply."""
    early, late = FakeSocket(), FakeSocket()
    talk.subscribe(early)

    def join_and_publish() -> None:
        talk.publish(hinted=False)
        talk.subscribe(late, talk.streams.end("talk"))

    answers = iter([lambda: None, join_and_publish])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    await talk.run()
    assert late.take() == [resumed(place(1))]


async def test_who_leaves_during_a_read_is_written_nothing(talk):
    """A closed socket receives no missed events."""
    talk.publish(3)
    socket = FakeSocket()
    subscription = talk.subscribe(socket, START)

    async def asked() -> None:
        talk.feed.subscriptions.pop(subscription, None)

    talk.streams.asked = asked
    await talk.run()
    assert socket.take() == []


async def test_a_flush_during_a_read_is_noticed(talk):
    """Events of another epoch are not mistaken for the next ones of this epoch."""
    socket = await talk.joined_after(1)
    talk.publish(hinted=False)

    def flushed() -> None:
        talk.streams.flush()
        talk.publish(5, hinted=False)

    answers = iter([lambda: None, flushed])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    await talk.check()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_who_joins_in_the_middle_of_a_fan_out_gets_each_event_once(talk, monkeypatch):
    """The fan-out yields to the loop, and a socket that subscribes then has the newest position already."""
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(stream_feed, "MAX_PAUSE_SECONDS", 0.0)
    talk.publish()
    sockets = [await talk.joined() for _ in range(3)]
    talk.publish()
    delivering = talk.feed.deliver()
    delivering.send(None)
    late = FakeSocket()
    talk.subscribe(late)
    talk.publish()
    finish(delivering)
    await talk.run()
    assert [words(socket) for socket in sockets] == [[2, 3]] * 3
    assert late.events[0] == resumed(place(2))
    assert words(late) == [3]


async def test_a_burst_costs_two_writes_a_socket(talk, monkeypatch):
    """Events received during a fan-out are sent after a pause, together with those received in the pause."""
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(stream_feed, "MAX_PAUSE_SECONDS", 0.0)
    talk.publish()
    sockets = [await talk.joined() for _ in range(2)]
    talk.publish()
    delivering = talk.feed.deliver()
    delivering.send(None)
    talk.publish(4)
    delivering.send(None)
    delivering.send(None)
    talk.publish(5)
    finish(delivering)
    await talk.run()
    assert [[len(write) for write in socket.writer.writes[1:]] for socket in sockets] == [[1, 9], [5, 5]]


async def test_an_event_that_comes_alone_waits_for_no_rest(talk):
    talk.publish()
    socket = await talk.joined()
    talk.publish()
    assert not step(talk.feed.deliver())
    assert words(socket) == [2]


async def test_a_feed_that_forgot_reads_again(talk):
    """After a failure the feed does not trust its memory, and no socket misses or repeats an event."""
    socket = await talk.joined(START)
    talk.publish(2)
    await talk.run()
    talk.publish(2)
    talk.feed.invalidate()
    assert not talk.feed.needs_delivery
    await talk.run()
    assert words(socket) == [1, 2, 3, 4]


def test_a_replay_is_never_longer_than_it_is_remembered_for():
    """Memory must not serve more events than one read may return."""
    assert RECENT_EVENTS <= RESUME_EVENTS


async def test_a_cancelled_fan_out_is_made_good(talk, monkeypatch):
    """The sockets that it did not reach get the event from the next one, and the others get nothing twice."""
    talk.publish()
    sockets = [await talk.joined() for _ in range(3)]
    for socket in sockets:
        socket.take()
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    talk.publish()
    delivering = talk.feed.deliver()
    step(delivering)
    delivering.close()
    assert talk.feed.needs_delivery
    await talk.run()
    assert [words(socket) for socket in sockets] == [[2]] * 3
