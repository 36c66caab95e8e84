"""With hints, reads, joins and faults in any order, a client has every event once or knows that it has not."""

import json
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.unit.tidewire.fakes import FakeSocket, Said, finish, paused, step
from tidewire.exceptions import RedisUnavailable
from tidewire.fanout import delivery, recent_events, stream_feed
from tidewire.fanout.frames import frame
from tidewire.fanout.stream_feed import StreamFeed
from tidewire.testing import MemoryStreams
from tidewire.topics import START, Position, StreamTopic

TOPIC = StreamTopic("talk")
# Position, mark of the previous event, body.
Hint = tuple[Position, str, str]
# So small that a few dozen steps reach every limit.
RECENT, RESUME = 4, 8
CHECKS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


class Client:
    """A browser that checks the events that it reads, and fails if any is out of order."""

    def __init__(self, feed: StreamFeed, at: Position | None, published: dict[str, tuple[str, str]]) -> None:
        self.socket = FakeSocket()
        self.subscription = feed.add(self.socket.connection, at)
        self.asked = at
        self.position: Position | None = None
        self.losses = 0
        self._published = published

    def read(self) -> None:
        for event in self.socket.take():
            if event["type"] == "resumed":
                at = Position.parse(event["at"])
                assert at is not None
                self._resumed(at, recovered=event["recovered"])
            else:
                self._received(event)

    def _resumed(self, at: Position, *, recovered: bool) -> None:
        if not recovered:
            self.losses += 1
        elif self.position is not None:
            assert self.position == START, "a second start where nothing was lost"
            assert at.offset == 0
        elif self.asked == START:
            assert at.offset == 0
        elif self.asked is not None:
            assert at == self.asked
        self.position = at

    def _received(self, event: dict[str, Any]) -> None:
        assert self.position is not None, "an event before the start"
        assert event["offset"] == self.position.offset + 1
        assert (self.position.mark, event["text"]) == self._published[event["mark"]], "an event between was lost"
        self.position = Position(self.position.epoch, event["offset"], event["mark"])


class Scene:
    """A stream, its feed, the hub's work on it, and clients. A script calls the methods; `n` is a random number."""

    def __init__(self, *, length: int) -> None:
        self.streams = MemoryStreams(length=length)
        self.streams.asked = paused
        self.feed = StreamFeed(TOPIC, self.streams)
        # By the mark of an event: mark of the previous event, text.
        self.published: dict[str, tuple[str, str]] = {}
        self.hints: list[Hint] = []
        self.received: list[Hint] = []
        self.clients: list[Client] = []
        self.work: Coroutine[Any, Any, None] | None = None
        self.number = 0

    def publish(self, n: int) -> None:
        """Publish some events. Their hints are received later, if at all."""
        for _ in range(n % 5 + 1):
            self.number += 1
            event = Said(id=UUID(int=self.number), text=f"word {self.number}")
            appended = self.streams.append_now(event)
            self.published[appended.position.mark] = appended.after, event.text
            self.hints.append((appended.position, appended.after, event.encode()))

    def receive_next_hint(self, n: int) -> None:
        for _ in range(min(n % 4 + 1, len(self.hints))):
            self._hint(self.hints.pop(0))

    def receive_any_hint(self, n: int) -> None:
        if self.hints:
            self._hint(self.hints.pop(n % len(self.hints)))

    def repeat(self, n: int) -> None:
        if self.received:
            self.feed.on_hint(*self.received[n % len(self.received)], 0.0)

    def lose_a_hint(self, n: int) -> None:
        if self.hints:
            self.hints.pop(n % len(self.hints))

    def subscribe(self, n: int) -> None:
        """Subscribe without a position, at the beginning, or at some events before the end."""
        end = self.streams.end("talk") or START
        self._subscribe({0: None, 1: START}.get(n % 8, self.streams.place("talk", max(end.offset - n, 0))))

    def leave(self, n: int) -> None:
        if self.clients:
            client = self.clients.pop(n % len(self.clients))
            self.feed.subscriptions.pop(client.subscription)

    def stall(self, n: int) -> None:
        if self.clients:
            writer = self.clients[n % len(self.clients)].socket.writer
            writer.full = n % 2 == 0
            # Alternatively the writer becomes full after some offers.
            writer.accepts = n % 5

    def drain(self, n: int) -> None:
        if self.clients:
            client = self.clients[n % len(self.clients)]
            client.socket.drain()
            self.feed.catch_up(client.subscription)

    def check(self, _n: int = 0) -> None:
        """Do the check that the hub does every second."""
        if self.feed.is_behind(self.streams.end("talk")):
            self.feed.request_read()

    def lose_and_find_redis(self, _n: int) -> None:
        self.streams.unavailable = not self.streams.unavailable

    def go_on(self, n: int) -> None:
        """Continue the hub's work by some steps. Afterwards it may be in the middle of anything."""
        for _ in range(n % 7 + 1):
            if self.work is None:
                self.work = self._run_feed()
            if not step(self.work):
                self.work = None
                break

    def flush(self, _n: int) -> None:
        self.streams.flush()

    def roll_back(self, n: int) -> None:
        self.streams.roll_back("talk", n % 4)

    def lose_history(self, n: int) -> None:
        self.streams.lose_history("talk", keep=n % 4)

    def claim_anything(self, n: int) -> None:
        self._subscribe(Position(("e1", "e2", "bad")[n % 3], n))

    def fail(self, _n: int) -> None:
        """Do the same as the hub after an unexpected error."""
        if self.work is None:
            self.feed.invalidate()

    def read(self) -> None:
        for client in self.clients:
            client.read()

    def come_to_rest(self) -> None:
        self.streams.unavailable = False
        if self.work is not None:
            finish(self.work)
        for at in range(len(self.clients)):
            self.drain(at)
        self.check()
        finish(self._run_feed())
        self.read()

    def _hint(self, hint: Hint) -> None:
        self.received.append(hint)
        self.feed.on_hint(*hint, 0.0)

    def _subscribe(self, at: Position | None) -> None:
        client = Client(self.feed, at, self.published)
        self.clients.append(client)
        self.feed.catch_up(client.subscription)

    async def _run_feed(self) -> None:
        """Do the hub's work on a feed, which ends when Redis is unavailable."""
        try:
            while self.feed.needs_read or self.feed.needs_delivery:
                await self.feed.deliver()
                if self.feed.needs_read:
                    await self.feed.read()
        except RedisUnavailable:
            return


CALM = (
    "publish",
    "receive_next_hint",
    "receive_any_hint",
    "repeat",
    "lose_a_hint",
    "subscribe",
    "leave",
    "stall",
    "drain",
    "check",
)
# Half of the steps continue the hub's work, so that many other steps happen in the middle of it.
CALM += ("lose_and_find_redis", "subscribe", "check", *("go_on",) * 8, *("publish", "receive_next_hint") * 3)
ROUGH = (*CALM, "flush", "roll_back", "roll_back", "lose_history", "claim_anything", "fail")

# Two bytes per step, which are cheap to draw and to shrink.
scripts = st.binary(min_size=80, max_size=200)


@pytest.fixture
def small(monkeypatch):
    """Set limits that a few dozen steps reach, and let the fan-out yield after every write."""
    monkeypatch.setattr(recent_events, "RECENT_EVENTS", RECENT)
    monkeypatch.setattr(delivery, "WRITES_PER_CLOCK_READING", 1)
    monkeypatch.setattr(delivery, "SLICE_SECONDS", -1.0)
    monkeypatch.setattr(stream_feed, "MAX_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(recent_events, "HISTORY_CACHE_SECONDS", 0.0)
    # Enough for one or two events.
    monkeypatch.setattr(recent_events, "PORTION_BYTES", 250)
    return monkeypatch


def play(scene: Scene, names: Sequence[str], script: bytes) -> None:
    for name, n in zip(script[::2], script[1::2], strict=False):
        happening = names[name % len(names)]
        note(f"{happening} {n}")
        getattr(scene, happening)(n % 32)
        scene.read()
    scene.come_to_rest()
    end = scene.streams.end("talk") or START
    assert [client.position for client in scene.clients] == [end] * len(scene.clients)
    assert len(scene.feed._recent) <= RECENT


@CHECKS
@given(scripts)
def test_without_a_loss_in_redis_nobody_loses_anything(small, script):
    """Late, repeated, reordered and lost hints, stalled sockets, no Redis: each client receives each event."""
    scene = Scene(length=10_000)
    play(scene, CALM, script)
    assert [client.losses for client in scene.clients] == [0] * len(scene.clients)


@CHECKS
@given(scripts)
def test_who_cannot_have_an_event_is_told_so(small, script):
    """Redis loses data or history, clients send false positions: still no event is repeated or reordered."""
    small.setattr(stream_feed, "RESUME_EVENTS", RESUME)
    play(Scene(length=6), ROUGH, script)


def test_the_client_of_the_model_is_strict():
    """The model's client must fail on a repeat, because a check that cannot fail proves nothing."""
    feed = StreamFeed(TOPIC, MemoryStreams())
    client = Client(feed, None, {"a1": ("", "word 1")})
    for text in (
        {"type": "resumed", "topic": "talk", "recovered": True, "at": "e1:0"},
        {"type": "test.said", "offset": 1, "mark": "a1", "text": "word 1"},
        {"type": "test.said", "offset": 1, "mark": "a1", "text": "word 1"},
    ):
        client.socket.connection.write(frame(json.dumps(text)))
    with pytest.raises(AssertionError):
        client.read()
