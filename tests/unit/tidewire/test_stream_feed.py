"""Every event of a stream topic reaches every subscription in order and once, or its client is told to reload."""

import itertools
from uuid import UUID

import pytest

from tests.unit.tidewire.fakes import FakeSocket, MemoryStreams, Said, finish, place, step
from tidewire import fanout, stream_feed
from tidewire.feeds import NOTHING, Subscription
from tidewire.stream_feed import HISTORY_KEPT_SECONDS, RECENT_EVENTS, RESUME_EVENTS, StreamFeed
from tidewire.topics import Position, StreamTopic

TOPIC = StreamTopic("talk")
# Position, mark of the event before, body.
Hint = tuple[Position, str, str]


class Talk:
    """A topic with a feed: what is said goes to the stream and, unless its hint is lost, to the feed."""

    def __init__(self, *, length: int = 1000) -> None:
        self.streams = MemoryStreams(length=length)
        self.feed = StreamFeed(TOPIC, self.streams)
        self._numbers = itertools.count(1)

    def say(self, count: int = 1, *, heard: bool = True) -> list[Hint]:
        hints = []
        for _ in range(count):
            number = next(self._numbers)
            event = Said(id=UUID(int=number), text=f"word {number}")
            appended = self.streams.append_now(event)
            hints.append((appended.position, appended.after, event.encode()))
        if heard:
            self.hear(*hints)
        return hints

    def hear(self, *hints: Hint) -> None:
        for hint in hints:
            self.feed.hear(*hint, 0.0)

    async def run(self) -> None:
        """What the hub does while a feed wants something."""
        while self.feed.wants_refresh or self.feed.wants_delivery:
            if self.feed.wants_delivery:
                await self.feed.deliver()
            if self.feed.wants_refresh:
                self.feed.wants_refresh = False
                await self.feed.refresh()

    async def check(self) -> None:
        """What the hub does every second."""
        self.feed.wants_refresh |= self.feed.is_behind(self.streams.end("talk"))
        await self.run()

    def subscribe(self, socket: FakeSocket, at: Position | None = None) -> Subscription:
        subscription = self.feed.add(socket.connection, at)
        self.feed.wants_refresh |= not self.feed.settle(subscription)
        return subscription

    async def joined(self, at: Position | None = None) -> FakeSocket:
        """A socket that is subscribed and up to date."""
        socket = FakeSocket()
        self.subscribe(socket, at)
        await self.run()
        return socket


@pytest.fixture
def talk() -> Talk:
    return Talk()


def resumed(at: object, *, recovered: bool = True) -> dict[str, object]:
    return {"type": "resumed", "topic": "talk", "recovered": recovered, "at": str(at)}


def words(socket: FakeSocket) -> list[int]:
    """The offsets of the events that came, which in these tests number the words too."""
    events = [event for event in socket.take() if event["type"] == "test.said"]
    assert all(event["text"] == f"word {event['offset']}" for event in events)
    return [event["offset"] for event in events]


async def test_a_socket_without_a_position_starts_at_the_end(talk):
    """Who names no position gets what is said from now on, after a line that says where that is."""
    talk.say(3)
    socket = await talk.joined()
    assert socket.take() == [resumed(place(3))]
    talk.say()
    await talk.run()
    assert words(socket) == [4]


async def test_the_offset_is_part_of_the_event(talk):
    """An event on the socket is the published one, with its offset and its mark."""
    socket = await talk.joined(NOTHING)
    talk.say()
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
    """A position in the middle is resumed with everything after it."""
    await talk.joined()
    talk.say(5)
    await talk.run()
    socket = await talk.joined(place(2))
    assert socket.events[0] == resumed(place(2))
    assert words(socket) == [3, 4, 5]


async def test_a_resume_from_memory_asks_redis_nothing(talk):
    """What a reconnecting client missed is served without a read while the feed remembers it."""
    await talk.joined(NOTHING)
    talk.say(5)
    await talk.run()
    talk.streams.away = True
    socket = FakeSocket()
    talk.subscribe(socket, place(2))
    assert not talk.feed.wants_refresh
    assert words(socket) == [3, 4, 5]


async def test_a_resume_beyond_memory_is_read_once_for_all(talk):
    """Two sockets that missed more than the feed remembers cost one read of the history."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 50):
        talk.say()
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
    """A page that was rendered after the last event misses nothing."""
    talk.say(2)
    socket = await talk.joined(place(2))
    assert socket.take() == [resumed(place(2))]


async def test_a_position_ahead_of_the_feed_is_looked_up(talk):
    """A client may know of an event before its hint is here: it is resumed, not told to reload."""
    await talk.joined()
    [late] = talk.say(heard=False)
    socket = await talk.joined(place(1))
    assert socket.take() == [resumed(place(1))]
    talk.hear(late)
    talk.say()
    await talk.run()
    assert words(socket) == [2]


async def test_a_position_after_the_end_is_lost(talk):
    """A client that knows more than Redis does reloads."""
    talk.say(2)
    socket = await talk.joined(place(7))
    assert socket.take() == [resumed(place(2), recovered=False)]


async def test_a_position_of_another_epoch_is_lost(talk):
    """Offsets of an epoch that is over mean nothing."""
    talk.say(2)
    socket = await talk.joined(Position("bad", 1))
    assert socket.take() == [resumed(place(2), recovered=False)]


async def test_a_position_in_an_epoch_that_the_feed_has_not_noticed_is_resumed(talk):
    """Redis lost its data and a page was rendered since: its socket is right and the feed is late."""
    old = await talk.joined()
    talk.say(3)
    await talk.run()
    old.take()
    talk.streams.flush()
    talk.say(2, heard=False)
    end = talk.streams.end("talk")
    socket = await talk.joined(end)
    assert socket.take() == [resumed(end)]
    assert old.take() == [resumed(end, recovered=False)]


async def test_a_position_too_far_back_is_lost(talk):
    """A client that missed more than is replayed reloads instead."""
    talk = Talk(length=10 * RESUME_EVENTS)
    talk.say(RESUME_EVENTS + 1)
    socket = await talk.joined(place(0))
    assert socket.take() == [resumed(place(RESUME_EVENTS + 1), recovered=False)]
    socket = await talk.joined(place(1))
    assert words(socket) == list(range(2, RESUME_EVENTS + 2))


async def test_one_lost_client_does_not_lose_the_others(talk):
    """A client far behind is told so, and the others get what they missed from the same refresh."""
    talk = Talk(length=10 * RESUME_EVENTS)
    talk.say(RESUME_EVENTS + 500)
    far, near = FakeSocket(), FakeSocket()
    talk.subscribe(far, place(0))
    talk.subscribe(near, place(RESUME_EVENTS + 400))
    await talk.run()
    assert far.take() == [resumed(place(RESUME_EVENTS + 500), recovered=False)]
    assert words(near) == list(range(RESUME_EVENTS + 401, RESUME_EVENTS + 501))


async def test_who_has_seen_nothing_gets_the_first_events(talk):
    """A page of an empty topic waits at NOTHING; it learns the epoch with the first event."""
    socket = await talk.joined(NOTHING)
    assert socket.take() == [resumed("0:0")]
    talk.say()
    await talk.run()
    events = socket.take()
    assert events[0] == resumed(place(0))
    assert [event["offset"] for event in events[1:]] == [1]


async def test_nothing_is_resumed_from_the_beginning(talk):
    """A page that was rendered before the first event gets that event too, however late it connects."""
    talk.say(3)
    socket = await talk.joined(NOTHING)
    assert socket.events[0] == resumed(place(0))
    assert words(socket) == [1, 2, 3]


async def test_a_repeated_hint_is_harmless(talk):
    """An event that is hinted at twice is delivered once, and costs no look at Redis."""
    socket = await talk.joined(NOTHING)
    hints = talk.say(2)
    await talk.run()
    talk.hear(*hints)
    assert not talk.feed.wants_refresh
    assert words(socket) == [1, 2]


async def test_a_gap_is_read_and_delivered_in_order(talk):
    """A lost hint is noticed by the next one."""
    socket = await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    talk.say(2, heard=False)
    talk.say()
    await talk.run()
    assert words(socket) == [1, 2, 3, 4]


async def test_a_stream_that_is_ahead_is_read(talk):
    """A lost hint that no other follows is noticed by comparing positions."""
    sockets = [await talk.joined(NOTHING), await talk.joined(NOTHING)]
    talk.say(3, heard=False)
    talk.streams.reads = 0
    await talk.check()
    assert [words(socket) for socket in sockets] == [[1, 2, 3], [1, 2, 3]]
    assert talk.streams.reads == 1


async def test_events_heard_together_go_out_in_one_write(talk):
    """A burst costs a socket one write."""
    socket = await talk.joined()
    talk.say()
    await talk.run()
    socket.take()
    talk.say(10)
    await talk.run()
    assert [len(write) for write in socket.writer.writes] == [10]
    assert words(socket) == list(range(2, 12))


async def test_more_events_than_are_remembered_may_wait(talk):
    """A burst longer than the memory loses nothing, not even for who was behind it."""
    socket, slow = await talk.joined(NOTHING), await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    slow.writer.full = True
    talk.say()
    await talk.run()
    talk.say(RECENT_EVENTS + 100)
    slow.drain()
    await talk.run()
    expected = list(range(1, RECENT_EVENTS + 103))
    assert words(socket) == expected
    assert words(slow) == expected
    assert len(talk.feed._recent) <= RECENT_EVENTS


async def test_memory_stays_bounded_over_many_reads(talk):
    """What a read brought is let go again after the sockets that came together have it."""
    talk.say(900)
    for offset in range(0, 800, 50):
        await talk.joined(place(offset))
        talk.say(20)
        await talk.run()
        assert len(talk.feed._recent) <= RESUME_EVENTS
    talk.feed._read_at -= HISTORY_KEPT_SECONDS
    talk.feed.trim()
    assert len(talk.feed._recent) == RECENT_EVENTS


async def test_memory_stays_bounded_in_bytes(talk, monkeypatch):
    """Large events are remembered less far back, and are had from Redis."""
    monkeypatch.setattr(stream_feed, "RECENT_BYTES", 1000)
    socket = await talk.joined()
    for _ in range(100):
        talk.say()
        await talk.run()
    assert sum(len(made.wire) for *_, made in talk.feed._recent) == talk.feed._recent_bytes <= 1000
    assert words(socket) == list(range(1, 101))
    assert words(await talk.joined(place(50))) == list(range(51, 101))


async def test_a_resume_stops_where_the_socket_is_full_and_goes_on_when_it_has_room(talk, monkeypatch):
    """A thousand events are never written to one socket at once; all of them arrive, once."""
    monkeypatch.setattr(stream_feed, "PORTION_BYTES", 1000)
    talk.say(1000)
    socket = FakeSocket()
    socket.writer.accepts = 4
    subscription = talk.subscribe(socket, NOTHING)
    await talk.run()
    assert 0 < sum(len(made.wire) for made in socket.writer.frames) < 4 * 1000 + 200
    seen = words(socket)
    while len(seen) < 1000:
        socket.drain()
        socket.writer.accepts = 4
        assert talk.feed.settle(subscription)
        assert len(socket.writer.frames) < 50
        seen += words(socket)
    assert seen == list(range(1, 1001))
    assert talk.streams.reads == 1


async def test_a_socket_that_is_full_is_told_where_it_stands_when_it_has_room(talk):
    """Its first event comes after that, and what happened meanwhile is not skipped."""
    talk.say(3)
    await talk.check()
    socket = FakeSocket()
    socket.writer.full = True
    subscription = talk.subscribe(socket)
    await talk.run()
    assert socket.take() == []
    talk.say()
    await talk.run()
    socket.drain()
    assert talk.feed.settle(subscription)
    first, second = socket.take()
    assert first == resumed(place(3))
    assert second["offset"] == 4


async def test_a_full_socket_is_skipped_and_settled_later(talk):
    """A slow reader costs nothing while it is slow, and then gets all that it missed, once."""
    socket, other = FakeSocket(), await talk.joined(NOTHING)
    subscription = talk.subscribe(socket, NOTHING)
    talk.say()
    await talk.run()
    socket.take()
    socket.writer.full = True
    for _ in range(3):
        talk.say()
        await talk.run()
    assert socket.take() == []
    assert socket.became_full == 1
    socket.drain()
    assert talk.feed.settle(subscription)
    assert words(socket) == [2, 3, 4]
    assert words(other) == [1, 2, 3, 4]


async def test_a_socket_that_was_full_for_too_long_is_lost(talk, monkeypatch):
    """Where even the history no longer has what a slow reader missed, it reloads."""
    monkeypatch.setattr(stream_feed, "HISTORY_KEPT_SECONDS", 0.0)
    socket = FakeSocket()
    subscription = talk.subscribe(socket, NOTHING)
    talk.say()
    await talk.run()
    socket.take()
    socket.writer.full = True
    for _ in range(RECENT_EVENTS + 2):
        talk.say()
        await talk.run()
    talk.streams.lose_history("talk", keep=10)
    socket.drain()
    assert not talk.feed.settle(subscription)
    talk.feed.wants_refresh = True
    await talk.run()
    assert socket.take() == [resumed(place(RECENT_EVENTS + 3), recovered=False)]


async def test_a_broken_socket_keeps_nothing_from_the_others(talk):
    """An error on one socket is that socket's."""
    broken, other = await talk.joined(NOTHING), await talk.joined(NOTHING)
    broken.writer.broken = True
    talk.say()
    await talk.run()
    assert words(other) == [1]


async def test_a_stalled_socket_does_not_cost_the_others_their_resume(talk):
    """A full socket that fell far behind is not read for, and does not push out who can be served."""
    talk = Talk(length=10 * RESUME_EVENTS)
    stalled = await talk.joined(NOTHING)
    stalled.writer.full = True
    for _ in range(3):
        talk.say(RESUME_EVENTS)
        await talk.run()
    near = await talk.joined(place(3 * RESUME_EVENTS - 500))
    assert words(near) == list(range(3 * RESUME_EVENTS - 499, 3 * RESUME_EVENTS + 1))


async def test_an_epoch_change_tells_everybody_to_reload(talk):
    """A Redis that lost its data begins a new epoch: nobody can know what it missed."""
    sockets = [await talk.joined(NOTHING), await talk.joined()]
    talk.say(2)
    await talk.run()
    for socket in sockets:
        socket.take()
    talk.streams.flush()
    talk.say(heard=False)
    await talk.check()
    end = talk.streams.end("talk")
    assert [socket.take() for socket in sockets] == [[resumed(end, recovered=False)]] * 2
    talk.say()
    await talk.run()
    assert [[event["offset"] for event in socket.take()] for socket in sockets] == [[2], [2]]


async def test_lost_events_whose_offsets_were_given_to_others_tell_everybody_to_reload(talk):
    """A replica that lagged has taken over, and has more events by now than the feed has heard of."""
    socket = await talk.joined(NOTHING)
    talk.say(5)
    await talk.run()
    socket.take()
    talk.streams.roll_back("talk", 2)
    talk.say(4, heard=False)
    await talk.check()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_an_offset_that_is_given_a_second_time_is_no_repeat(talk):
    """Its hint alone shows the loss: no check has to come first."""
    socket = await talk.joined(NOTHING)
    talk.say(5)
    await talk.run()
    socket.take()
    talk.streams.roll_back("talk", 1)
    talk.say(1)
    await talk.run()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_the_next_offset_after_a_loss_is_not_the_next_event(talk):
    """The hint fits by its offset, and not by the event before."""
    socket = await talk.joined(NOTHING)
    talk.say(5)
    await talk.run()
    socket.take()
    talk.streams.roll_back("talk", 1)
    talk.say(1, heard=False)
    talk.say(1)
    await talk.run()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_a_position_in_lost_events_is_never_resumed(talk):
    """The page was rendered, or its socket last heard, where Redis has other events now; no node noticed."""
    talk.say(5, heard=False)
    seen = talk.streams.end("talk")
    talk.streams.roll_back("talk", 2)
    talk.say(4, heard=False)
    socket = await talk.joined(seen)
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_the_same_events_published_again_are_resumed(talk):
    """A rollback whose events the relay publishes again in their order has lost nothing."""
    socket = await talk.joined(NOTHING)
    talk.say(5)
    await talk.run()
    socket.take()
    seen = talk.streams.end("talk")
    talk.streams.roll_back("talk", 2)
    for number in (4, 5):
        talk.streams.append_now(Said(id=UUID(int=number), text=f"word {number}"))
    talk.say(heard=False)
    await talk.check()
    assert words(socket) == [6]
    assert words(await talk.joined(seen)) == [6]


async def test_a_position_without_a_mark_is_not_resumed(talk):
    """Nothing shows which events came before it."""
    talk.say(3)
    socket = await talk.joined(Position("e1", 2))
    assert socket.take() == [resumed(place(3), recovered=False)]


async def test_an_emptied_redis_is_noticed_before_anything_is_said(talk):
    """After a flush the topic has no epoch; its next one reaches everybody from its first event."""
    socket = await talk.joined(NOTHING)
    talk.say(2)
    await talk.run()
    socket.take()
    talk.streams.flush()
    await talk.check()
    assert socket.take() == [resumed("0:0", recovered=False)]
    talk.say(heard=False)
    await talk.check()
    assert [event.get("at", event.get("offset")) for event in socket.take()] == ["e2:0", 1]


async def test_a_hole_in_the_history_tells_everybody_to_reload(talk):
    """History that ended before what the feed has cannot be made up for."""
    socket = await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    socket.take()
    talk.say(5, heard=False)
    talk.streams.lose_history("talk", keep=2)
    await talk.check()
    assert socket.take() == [resumed(place(6), recovered=False)]


async def test_a_history_that_is_gone_tells_everybody_to_reload(talk):
    """Events that were lost with the whole history are not passed over in silence, nor asked for ever."""
    socket = await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    socket.take()
    talk.say(2, heard=False)
    talk.streams.lose_history("talk")
    await talk.check()
    assert socket.take() == [resumed(place(3), recovered=False)]
    assert not talk.feed.is_behind(talk.streams.end("talk"))


async def test_a_lost_history_hurts_nobody_who_missed_nothing(talk):
    """Who is up to date needs no history."""
    socket = await talk.joined(NOTHING)
    talk.say(2)
    await talk.run()
    talk.streams.lose_history("talk")
    assert (await talk.joined(place(1))).take()[0] == resumed(place(1))
    talk.say()
    await talk.run()
    assert words(socket) == [1, 2, 3]


async def test_events_heard_while_redis_is_asked_are_no_loss(talk):
    """The answer is older than what was heard meanwhile: the stream did not go back."""
    socket = await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    said = iter([lambda: None, lambda: talk.say(2)])

    async def asked() -> None:
        next(said, lambda: None)()

    talk.streams.asked = asked
    talk.feed.wants_refresh = True
    await talk.run()
    assert words(socket) == [1, 2, 3]


async def test_events_heard_during_a_read_leave_no_hole(talk):
    """What the feed forgets while it reads older events must not be missing between the two."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 10):
        talk.say()
        await talk.run()
    answers = iter([lambda: None] * 3 + [lambda: talk.say(5)])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    socket = await talk.joined(place(4))
    assert words(socket) == list(range(5, RECENT_EVENTS + 16))


async def test_who_comes_during_a_read_is_served_by_the_next(talk):
    """A reading that began before somebody came says nothing about what they missed."""
    await talk.joined()
    for _ in range(RECENT_EVENTS + 10):
        talk.say()
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
    """A page may be rendered after the answer was made, and its socket come before it is here."""
    early, late = FakeSocket(), FakeSocket()
    talk.subscribe(early)

    def said() -> None:
        talk.say(heard=False)
        talk.subscribe(late, talk.streams.end("talk"))

    answers = iter([lambda: None, said])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    await talk.run()
    assert late.take() == [resumed(place(1))]


async def test_who_leaves_during_a_read_is_written_nothing(talk):
    """A closed socket is not told what it missed."""
    talk.say(3)
    socket = FakeSocket()
    subscription = talk.subscribe(socket, NOTHING)

    async def asked() -> None:
        talk.feed.subscriptions.pop(subscription, None)

    talk.streams.asked = asked
    await talk.run()
    assert socket.take() == []


async def test_a_flush_during_a_read_is_noticed(talk):
    """Events of another epoch are never taken for the next of this one."""
    socket = await talk.joined(NOTHING)
    talk.say()
    await talk.run()
    socket.take()
    talk.say(heard=False)

    def flushed() -> None:
        talk.streams.flush()
        talk.say(5, heard=False)

    answers = iter([lambda: None, flushed])

    async def asked() -> None:
        next(answers, lambda: None)()

    talk.streams.asked = asked
    await talk.check()
    assert socket.take() == [resumed(talk.streams.end("talk"), recovered=False)]


async def test_who_joins_in_the_middle_of_a_fan_out_gets_each_event_once(talk, monkeypatch):
    """A fan-out gives way to the loop, and whoever joins then has the newest position already."""
    monkeypatch.setattr(fanout, "WRITES_PER_LOOK", 1)
    monkeypatch.setattr(fanout, "STRETCH_SECONDS", -1.0)
    monkeypatch.setattr(stream_feed, "REST_SECONDS", 0.0)
    talk.say()
    sockets = [await talk.joined() for _ in range(3)]
    talk.say()
    delivery = talk.feed.deliver()
    delivery.send(None)
    late = FakeSocket()
    talk.subscribe(late)
    talk.say()
    finish(delivery)
    await talk.run()
    assert [words(socket) for socket in sockets] == [[2, 3]] * 3
    assert late.events[0] == resumed(place(2))
    assert words(late) == [3]


async def test_a_burst_costs_two_writes_a_socket(talk, monkeypatch):
    """What is heard in a fan-out goes out after a rest, together with what is heard in that."""
    monkeypatch.setattr(fanout, "WRITES_PER_LOOK", 1)
    monkeypatch.setattr(fanout, "STRETCH_SECONDS", -1.0)
    monkeypatch.setattr(stream_feed, "REST_SECONDS", 0.0)
    talk.say()
    sockets = [await talk.joined() for _ in range(2)]
    talk.say()
    delivery = talk.feed.deliver()
    delivery.send(None)
    talk.say(4)
    delivery.send(None)
    delivery.send(None)
    talk.say(5)
    finish(delivery)
    await talk.run()
    assert [[len(write) for write in socket.writer.writes[1:]] for socket in sockets] == [[1, 9], [5, 5]]


async def test_an_event_that_comes_alone_waits_for_no_rest(talk):
    talk.say()
    socket = await talk.joined()
    talk.say()
    assert not step(talk.feed.deliver())
    assert words(socket) == [2]


async def test_a_feed_that_forgot_reads_again(talk):
    """After a failure nothing that is remembered is trusted, and nobody misses or repeats anything."""
    socket = await talk.joined(NOTHING)
    talk.say(2)
    await talk.run()
    talk.say(2)
    talk.feed.forget()
    assert not talk.feed.wants_delivery
    await talk.run()
    assert words(socket) == [1, 2, 3, 4]


def test_a_replay_is_never_longer_than_it_is_remembered_for():
    """What memory serves is less than what a read may bring."""
    assert stream_feed.RECENT_EVENTS <= stream_feed.RESUME_EVENTS
